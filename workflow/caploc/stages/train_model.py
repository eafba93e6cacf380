"""Train the embedded model on generated tasks and save it as an ordinary Hugging Face folder.

Settings: `TrainModel`. Outputs: ``manifest``, ``loss`` (a row a step), ``prompts`` (digest of every
prompt the model was trained on).
"""

import logging
import time
from dataclasses import dataclass

import polars as pl
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from caploc.catalogues.training import Architecture, Train
from caploc.files import store, tables
from caploc.files.tables import COUNT, NUMBER, TEXT
from caploc.jobs.job import Job
from caploc.jobs.partial_work import partial_work
from caploc.samples.splits import prompt_digest
from caploc.settings import Seed
from caploc.training.corpus import Text, draw_corpus
from caploc.training.loop import save_model, train
from caploc.training.optimisation import Step, build_model, native_bfloat16
from caploc.training.packing import Packed, pack
from caploc.training.sequences import encode_texts
from caploc.training.tokenizer import build_tokenizer

__all__ = ["TrainModel", "run"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainModel:
    """Train the embedded model.

    Attributes:
        model: id
        seed: of the weights and the training text
        architecture: sizes
        train: how
    """

    model: str
    seed: Seed
    architecture: Architecture
    train: Train


def run(job: Job) -> None:
    """Train, save, and write the manifest last."""
    torch.set_num_threads(1)  # the threads of the job take halves of a batch instead
    started = time.monotonic()
    told = job.told(TrainModel)
    architecture, settings = told.architecture, told.train
    corpus = draw_corpus(settings.mixture, settings.steps, settings.batch, told.seed)
    texts = [text for batch in corpus for text in batch]
    read = (part for text in texts for part in (text.prompt, text.answer))
    tokenizer = build_tokenizer(read, architecture.context)
    model = build_model(architecture, tokenizer, told.seed)
    with partial_work(job) as partial:
        steps = train(
            model, lambda step: _packed(corpus[step], tokenizer, architecture.context),
            settings.steps, settings.learning_rate, settings.warmup, partial, job.threads,
            "training",
        )  # fmt: skip
        _write(job, model, tokenizer, texts, steps, started)


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
    described = save_model(model, tokenizer, job.outputs["manifest"])
    _write_loss(steps, job)
    _write_prompts(texts, job)
    seconds = time.monotonic() - started
    precision = "bfloat16 products, float32 weights" if native_bfloat16() else "float32"
    _LOG.info("trained %s: %d steps, %.0f s, loss %.3f, %s", told.model, len(steps), seconds,
              steps[-1].loss, precision)  # fmt: skip
    store.write_json(
        described
        | {
            "model": told.model,
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


def _write_loss(steps: list[Step], job: Job) -> None:
    rows = [(i, step.loss, step.learning_rate) for i, step in enumerate(steps, start=1)]
    table = pl.DataFrame(
        rows, {"step": COUNT, "loss": NUMBER, "learning_rate": NUMBER}, orient="row"
    )
    tables.write_part(table, job.outputs["loss"], job.origin())


def _write_prompts(texts: list[Text], job: Job) -> None:
    rows = sorted({(text.task, prompt_digest(text.prompt)) for text in texts})
    table = pl.DataFrame(rows, {"task": TEXT, "prompt_digest": TEXT}, orient="row")
    tables.write_part(table, job.outputs["prompts"], job.origin())
