"""A training from its last checkpoint on, and the ordinary model folder that it leaves."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from caploc.jobs.digests import file_digest
from caploc.jobs.progress import tracked
from caploc.training import checkpoint
from caploc.training.optimisation import (
    Step,
    Within,
    build_optimiser,
    native_bfloat16,
    optimise,
    unchanged,
)
from caploc.training.packing import Packed
from caploc.training.tokenizer import save_tokenizer

__all__ = ["save_model", "train"]

_FOLDER = "hf"
# A kill costs at most this many steps.
_STEPS_BETWEEN_CHECKPOINTS = 100


def train(
    model: LlamaForCausalLM,
    batch_of: Callable[[int], Packed],
    steps: int,
    peak: float,
    warmup: int,
    folder: Path,
    threads: int,
    label: str,
    within: Within = unchanged,
) -> list[Step]:
    """Train a model in place, leaving checkpoints; bfloat16 where the processor has it.

    Args:
        model: with the weights it begins with.
        batch_of: batch of a step, 0 to steps - 1; it follows from the number alone.
        steps: number of steps.
        peak: highest learning rate.
        warmup: steps of linear warm-up.
        folder: for checkpoints, of this training alone.
        threads: as for `optimise`.
        label: what the progress is called.
        within: as for `optimise`.

    Returns:
        The reports of all steps, those before the checkpoint included.
    """
    optimiser = build_optimiser(model, peak)
    done = checkpoint.restore(folder, model, optimiser)
    first = len(done)
    work = optimise(
        model, map(batch_of, range(first, steps)), steps, peak, warmup, native_bfloat16(), threads,
        optimiser, first, within,
    )  # fmt: skip
    for step in tracked(work, steps - first, label, lambda step: f"loss {step.loss:.3f}"):
        done.append(step)
        if len(done) % _STEPS_BETWEEN_CHECKPOINTS == 0 and len(done) < steps:
            checkpoint.save(folder, model, optimiser, done)
    return done


def save_model(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, manifest: Path
) -> dict[str, Any]:
    """Write model and tokenizer beside the manifest; returns what a manifest says about them."""
    folder = manifest.parent / _FOLDER
    disable_progress_bar()  # of saving, which takes a moment
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    return {
        "path": _FOLDER,
        "repo": None,
        "revision": None,
        "architecture": type(model).__name__,
        "family": "llama",
        "n_layers": model.config.num_hidden_layers,
        "n_neurons": model.config.intermediate_size,
        "n_parameters": sum(p.numel() for p in model.parameters()),
        "dtype": "float32",
        "files": {p.name: file_digest(p) for p in sorted(folder.iterdir())},
    }
