"""Train the embedded model on generated tasks and save it as an ordinary Hugging Face folder.

Settings: `TrainModel`. Outputs: ``manifest``, ``loss`` (a row a step), ``prompts`` (digest of every
prompt the model was trained on).
"""

import logging
import shutil
import time
from pathlib import Path

import pyarrow as pa
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from caploc.files import store
from caploc.jobs.digests import file_digest
from caploc.jobs.job import Job
from caploc.jobs.partial_work import partial_work
from caploc.jobs.progress import tracked
from caploc.samples.splits import prompt_digest
from caploc.stages.settings import TrainModel
from caploc.training import checkpoint
from caploc.training.corpus import Text, draw_corpus
from caploc.training.optimisation import (
    Architecture,
    Step,
    build_model,
    build_optimiser,
    native_bfloat16,
    optimise,
)
from caploc.training.packing import Packed, pack
from caploc.training.sequences import encode_texts
from caploc.training.tokenizer import build_tokenizer, save_tokenizer

__all__ = ["run"]

_LOG = logging.getLogger(__name__)
_FOLDER = "hf"
# A kill costs at most this many steps.
_STEPS_BETWEEN_CHECKPOINTS = 100


def run(job: Job) -> None:
    """Train, save, and write the manifest last."""
    torch.set_num_threads(1)  # the threads of the job take halves of a batch instead
    started = time.monotonic()
    told = job.told(TrainModel)
    architecture, train = Architecture(**told.architecture), told.train
    corpus = draw_corpus(train.mixture, train.steps, train.batch, told.seed)
    texts = [text for batch in corpus for text in batch]
    read = (part for text in texts for part in (text.prompt, text.answer))
    tokenizer = build_tokenizer(read, architecture.context)
    model = build_model(architecture, tokenizer, told.seed)
    with partial_work(job) as partial:
        steps = _train(job, model, tokenizer, corpus, partial)
        _write(job, model, tokenizer, texts, steps, started)


def _train(
    job: Job,
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    corpus: list[list[Text]],
    partial: Path,
) -> list[Step]:
    """Train from the last checkpoint on, leaving new ones."""
    told = job.told(TrainModel)
    train, context = told.train, told.architecture["context"]
    optimiser = build_optimiser(model, train.learning_rate)
    steps = checkpoint.restore(partial, model, optimiser)
    left = corpus[len(steps) :]
    work = optimise(
        model,
        (_packed(batch, tokenizer, context) for batch in left),
        train.steps,
        train.learning_rate,
        train.warmup,
        native_bfloat16(),
        job.threads,
        optimiser,
        len(steps),
    )
    for step in tracked(work, len(left), "training", lambda step: f"loss {step.loss:.3f}"):
        steps.append(step)
        if len(steps) % _STEPS_BETWEEN_CHECKPOINTS == 0 and len(steps) < len(corpus):
            checkpoint.save(partial, model, optimiser, steps)
    return steps


def _write(
    job: Job,
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    texts: list[Text],
    steps: list[Step],
    started: float,
) -> None:
    """Write the model and, last, its manifest."""
    told = job.told(TrainModel)
    folder = job.outputs["manifest"].parent / _FOLDER
    _save(model, tokenizer, folder)
    _write_loss(steps, job)
    _write_prompts(texts, job)
    seconds = time.monotonic() - started
    precision = "bfloat16 products, float32 weights" if native_bfloat16() else "float32"
    _LOG.info("trained %s: %d steps, %.0f s, loss %.3f, %s", told.model, len(steps), seconds,
              steps[-1].loss, precision)  # fmt: skip
    store.write_json(
        {
            "model": told.model,
            "path": _FOLDER,
            "repo": None,
            "revision": None,
            "architecture": type(model).__name__,
            "family": "llama",
            "n_layers": told.architecture["layers"],
            "n_neurons": told.architecture["ffn"],
            "n_parameters": sum(p.numel() for p in model.parameters()),
            "dtype": "float32",
            "files": {p.name: file_digest(p) for p in sorted(folder.iterdir())},
            "trained": {
                "steps": len(steps),
                "sequences": len(texts),
                "tokens": sum(step.n_tokens for step in steps),
                "loss": steps[-1].loss,
                "precision": precision,
                "threads": job.threads,
            },
            "origin": job.origin(),
        },
        job.outputs["manifest"],
    )


def _packed(batch: list[Text], tokenizer: PreTrainedTokenizerFast, context: int) -> Packed:
    return pack(encode_texts(batch, tokenizer, context), context, tokenizer.pad_token_id)


def _save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    disable_progress_bar()  # of saving, which takes a moment
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)


def _write_loss(steps: list[Step], job: Job) -> None:
    table = pa.table(
        {
            "step": pa.array(range(1, len(steps) + 1), pa.int32()),
            "loss": pa.array([s.loss for s in steps], pa.float64()),
            "learning_rate": pa.array([s.learning_rate for s in steps], pa.float64()),
        }
    )
    store.write_table(table, job.outputs["loss"], {"origin": job.origin()})


def _write_prompts(texts: list[Text], job: Job) -> None:
    rows = sorted({(text.task, prompt_digest(text.prompt)) for text in texts})
    table = pa.table(
        {
            "task": pa.array([task for task, _ in rows], pa.string()),
            "prompt_digest": pa.array([digest for _, digest in rows], pa.string()),
        }
    )
    store.write_table(table, job.outputs["prompts"], {"origin": job.origin()})
