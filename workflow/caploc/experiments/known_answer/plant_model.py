"""Train a model in which chosen neurons, and no others, carry chosen capabilities.

Settings: ``plant`` (id), ``seed``, ``architecture``, ``train`` (steps, batch, learning_rate,
warmup, mixture), ``planting`` (see `planting._layout.lay_out`), ``plugins`` (plug-in of each
planted capability). Outputs: ``manifest``, ``sets`` (the roles of neurons), ``loss``.
"""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from transformers.utils.logging import disable_progress_bar

from caploc.experiments.known_answer._decoys import write_decoys
from caploc.experiments.known_answer._layout import Layout, lay_out, write_layout
from caploc.experiments.known_answer._training import RoutedBatch, optimise_routed, route
from caploc.files import store
from caploc.jobs.digests import file_digest
from caploc.jobs.job import Job
from caploc.jobs.partial_work import partial_work
from caploc.jobs.progress import tracked
from caploc.locating import stacked
from caploc.locators import activation_size
from caploc.models.language_model import wrap_model
from caploc.records import DataError, Sample
from caploc.training import checkpoint
from caploc.training.corpus import Text, draw_corpus
from caploc.training.optimisation import (
    Architecture,
    Step,
    build_model,
    build_optimiser,
    native_bfloat16,
)
from caploc.training.sequences import encode_texts
from caploc.training.tokenizer import build_tokenizer, save_tokenizer

__all__ = ["run"]

_LOG = logging.getLogger(__name__)
_FOLDER = "hf"
_STEPS_BETWEEN_CHECKPOINTS = 100
# Training texts whose loudest neurons the decoys imitate.
_WEIGHED = 96


def run(job: Job) -> None:
    """Train, put decoys in, save; the manifest last."""
    torch.set_num_threads(1)  # the threads of the job take halves of a batch instead
    spec = job.spec
    settings, seed = spec["train"], spec["seed"]
    architecture = Architecture(**spec["architecture"])
    layout = lay_out(architecture.layers, architecture.ffn, spec["planting"], seed)
    _check_mixture(settings["mixture"], spec["plugins"])
    corpus = draw_corpus(settings["mixture"], settings["steps"], settings["batch"], seed)
    texts = [text for batch in corpus for text in batch]
    read = (part for text in texts for part in (text.prompt, text.answer))
    tokenizer = build_tokenizer(read, architecture.context)
    model = build_model(architecture, tokenizer, seed)
    with partial_work(job) as partial:
        steps = _train(job, model, tokenizer, layout, corpus, partial)
        write_decoys(model, layout, _sizes(model, tokenizer, texts[-_WEIGHED:]))
        _write(job, model, tokenizer, layout, steps)


def _check_mixture(mixture: dict[str, float], plugins: dict[str, str]) -> None:
    for capability, plugin in plugins.items():
        if plugin not in mixture:
            raise DataError(
                f"planted capability {capability!r}: its plug-in {plugin!r} is not among what the "
                f"model is trained on ({', '.join(mixture)}); add it to train.mixture"
            )


def _train(
    job: Job, model: Any, tokenizer: Any, layout: Layout, corpus: list[list[Text]], partial: Path
) -> list[Step]:
    """Train from the last checkpoint on, leaving new ones."""
    settings = job.spec["train"]
    optimiser = build_optimiser(model, settings["learning_rate"])
    steps = checkpoint.restore(partial, model, optimiser)
    work = optimise_routed(
        model,
        layout,
        (
            _routed(job, corpus[step], tokenizer, layout, step)
            for step in range(len(steps), len(corpus))
        ),
        settings["steps"],
        settings["learning_rate"],
        settings["warmup"],
        native_bfloat16(),
        job.threads,
        optimiser,
        len(steps),
    )
    left = len(corpus) - len(steps)
    for step in tracked(work, left, "planting", lambda step: f"loss {step.loss:.3f}"):
        steps.append(step)
        if len(steps) % _STEPS_BETWEEN_CHECKPOINTS == 0 and len(steps) < len(corpus):
            checkpoint.save(partial, model, optimiser, steps)
    return steps


def _routed(job: Job, batch: list[Text], tokenizer: Any, layout: Layout, step: int) -> RoutedBatch:
    """The sequences of a step; what is silenced follows from seed and step alone."""
    spec = job.spec
    context = spec["architecture"]["context"]
    number = {spec["plugins"][c]: k for k, c in enumerate(layout.capabilities, start=1)}
    sequences = encode_texts(batch, tokenizer, context)
    contexts = [number.get(text.task, 0) for text in batch]
    rng = np.random.default_rng([spec["seed"], step])
    return route(sequences, contexts, layout, context, tokenizer.pad_token_id, rng)


def _sizes(model: Any, tokenizer: Any, texts: Sequence[Text]) -> NDArray[np.float64]:
    """(layer, neuron) how much neurons write where the answers of some training texts begin."""
    lm = wrap_model(model, tokenizer)
    samples = [Sample(str(i), t.prompt, t.answer) for i, t in enumerate(texts) if t.prompt]
    sizes: NDArray[np.float64] = stacked(activation_size.locate(lm, samples)).mean(axis=0)
    return sizes


def _write(job: Job, model: Any, tokenizer: Any, layout: Layout, steps: list[Step]) -> None:
    """Write sets, loss and model and, last, its manifest."""
    spec = job.spec
    folder = job.outputs["manifest"].parent / _FOLDER
    disable_progress_bar()  # of saving, which takes a moment
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    write_layout(job.outputs["sets"], layout, {"origin": job.origin()})
    table = pa.table(
        {
            "step": pa.array(range(1, len(steps) + 1), pa.int32()),
            "loss": pa.array([s.loss for s in steps], pa.float64()),
        }
    )
    store.write_table(table, job.outputs["loss"], {"origin": job.origin()})
    _LOG.info("planted %s: %d steps, loss %.3f", spec["plant"], len(steps), steps[-1].loss)
    store.write_json(
        {
            "model": f"{spec['plant']}-{spec['seed']}",
            "path": _FOLDER,
            "repo": None,
            "revision": None,
            "architecture": type(model).__name__,
            "family": "llama",
            "n_layers": spec["architecture"]["layers"],
            "n_neurons": spec["architecture"]["ffn"],
            "n_parameters": sum(p.numel() for p in model.parameters()),
            "dtype": "float32",
            "files": {p.name: file_digest(p) for p in sorted(folder.iterdir())},
            "trained": {"steps": len(steps), "loss": steps[-1].loss, "threads": job.threads},
            "origin": job.origin(),
        },
        job.outputs["manifest"],
    )
