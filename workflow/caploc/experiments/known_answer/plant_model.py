"""Train a model in which chosen neurons, and no others, carry chosen capabilities.

Settings: `PlantModel`. Outputs: ``manifest``, ``sets`` (the roles of neurons), ``loss``.
"""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from caploc.experiments.known_answer._decoys import write_decoys
from caploc.experiments.known_answer._layout import Layout, lay_out, write_layout
from caploc.experiments.known_answer._training import RoutedBatch, route, routes
from caploc.experiments.known_answer.settings import PlantModel
from caploc.files import store, tables
from caploc.jobs.job import Job
from caploc.jobs.partial_work import partial_work
from caploc.locating import stacked
from caploc.locators import activation_size
from caploc.models.language_model import wrap_model
from caploc.records import DataError, Sample
from caploc.training.corpus import Text, draw_corpus
from caploc.training.loop import save_model, train
from caploc.training.optimisation import Step, build_model
from caploc.training.sequences import encode_texts
from caploc.training.tokenizer import build_tokenizer

__all__ = ["run"]

_LOG = logging.getLogger(__name__)
_LOSS: tables.Schema = {"step": tables.COUNT, "loss": tables.NUMBER}
# Training texts whose loudest neurons the decoys imitate.
_WEIGHED = 96


def run(job: Job) -> None:
    """Train, put decoys in, save; the manifest last."""
    torch.set_num_threads(1)  # the threads of the job take halves of a batch instead
    told = job.told(PlantModel)
    settings, architecture = told.train, told.architecture
    layout = lay_out(architecture.layers, architecture.ffn, told.planting, told.seed)
    _check_mixture(settings.mixture, told.plugins)
    corpus = draw_corpus(settings.mixture, settings.steps, settings.batch, told.seed)
    texts = [text for batch in corpus for text in batch]
    read = (part for text in texts for part in (text.prompt, text.answer))
    tokenizer = build_tokenizer(read, architecture.context)
    model = build_model(architecture, tokenizer, told.seed)
    with partial_work(job) as partial:
        with routes(model, layout) as within:
            steps = train(
                model, lambda step: _routed(told, corpus[step], tokenizer, layout, step),
                settings.steps, settings.learning_rate, settings.warmup, partial, job.threads,
                "planting", within,
            )  # fmt: skip
        write_decoys(model, layout, _sizes(model, tokenizer, texts[-_WEIGHED:]))
        _write(job, model, tokenizer, layout, steps)


def _check_mixture(mixture: dict[str, float], plugins: dict[str, str]) -> None:
    for capability, plugin in plugins.items():
        if plugin not in mixture:
            raise DataError(
                f"planted capability {capability!r}: its plug-in {plugin!r} is not among what the "
                f"model is trained on ({', '.join(mixture)}); add it to train.mixture"
            )


def _routed(
    told: PlantModel, batch: list[Text], tokenizer: Any, layout: Layout, step: int
) -> RoutedBatch:
    """The sequences of a step; what is silenced follows from seed and step alone."""
    context = told.architecture.context
    number = {told.plugins[c]: k for k, c in enumerate(layout.capabilities, start=1)}
    sequences = encode_texts(batch, tokenizer, context)
    contexts = [number.get(text.task, 0) for text in batch]
    rng = np.random.default_rng([told.seed, step])
    return route(sequences, contexts, layout, context, tokenizer.pad_token_id, rng)


def _sizes(model: Any, tokenizer: Any, texts: Sequence[Text]) -> NDArray[np.float64]:
    """(layer, neuron) how much neurons write where the answers of some training texts begin."""
    lm = wrap_model(model, tokenizer)
    samples = [Sample(str(i), t.prompt, t.answer) for i, t in enumerate(texts) if t.prompt]
    sizes: NDArray[np.float64] = stacked(activation_size.locate(lm, samples)).mean(axis=0)
    return sizes


def _write(job: Job, model: Any, tokenizer: Any, layout: Layout, steps: list[Step]) -> None:
    """Write sets, loss and model and, last, its manifest."""
    told, loss = job.told(PlantModel), steps[-1].loss
    described = save_model(model, tokenizer, job.outputs["manifest"])
    write_layout(job.outputs["sets"], layout, job.origin())
    table = pl.DataFrame({"step": range(1, len(steps) + 1), "loss": [s.loss for s in steps]}, _LOSS)
    tables.write_part(table, job.outputs["loss"], job.origin())
    _LOG.info("planted %s: %d steps, loss %.3f", told.plant, len(steps), loss)
    about = {
        "model": f"{told.plant}-{told.seed}",
        "trained": {"steps": len(steps), "loss": loss, "threads": job.threads},
        "origin": job.origin(),
    }
    store.write_json(described | about, job.outputs["manifest"])
