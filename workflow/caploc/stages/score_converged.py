"""Mean scores of a few samples of every task by a converged path rule, beside those of the method.

Settings: `ScoreConverged`. Inputs: ``manifest``; ``samples`` and
``shards`` (the first attribution file of each task, whose scores are reused), in the order of the
tasks. Output: ``scores``, one row per task, rule (``method`` or ``converged``) and layer; metadata
``n_samples`` per task and the largest gap that is left. Only the mask of a task made with each of
the two is compared later, by `measure_agreement`.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caploc import plugins
from caploc.attribution.engine import Attribution
from caploc.attribution.memory import use_huge_pages
from caploc.files import store
from caploc.forward.processor import use_processor
from caploc.forward.samples import model_of, samples_of
from caploc.jobs.job import Job
from caploc.jobs.progress import tracked
from caploc.models.language_model import LanguageModel
from caploc.records import Sample
from caploc.settings import Natural
from caploc.stages.settings import Scored

__all__ = ["ScoreConverged", "run"]

_LOG = logging.getLogger(__name__)
# Converged: on the model of config/embedded.yaml the error left is below 0.001 of the scores.
_RULE = {"rule": "adaptive", "steps": 256, "tolerance": 1e-4}


@dataclass(frozen=True, kw_only=True)
class ScoreConverged(Scored):
    """Score a few samples of every task by a converged path rule.

    Attributes:
        tasks: ids
        n_samples: of each task
    """

    tasks: tuple[str, ...]
    n_samples: Natural


def run(job: Job) -> None:
    """Score the first usable samples of every task again.

    Args:
        job: see the module.

    Raises:
        DataError: a damaged file or model.
    """
    use_huge_pages()
    use_processor(job.threads)
    told = job.told(ScoreConverged)
    lm = model_of(job.input("manifest"), job.spec)
    schema = _schema(lm.n_neurons)
    files = list(zip(told.tasks, job.inputs["samples"], job.inputs["shards"], strict=True))
    tables, counts, largest = [], {}, 0.0
    for task, samples, shard in tracked(iter(files), total=len(files), what="converged scores"):
        ids, printed = _printed(shard, told.n_samples, lm)
        found = _converged(lm, told, _samples(lm, samples, ids))
        counts[task] = len(ids)
        largest = max([largest, *(float(a.gap.max()) for a in found)])
        if found:
            converged = np.mean([a.scores for a in found], axis=0)
            tables.append(_table(schema, task, "method", printed.mean(axis=0)))
            tables.append(_table(schema, task, "converged", converged))
    metadata = {"origin": job.origin(), "n_samples": counts, "largest_gap": largest, **_RULE}
    table = pa.concat_tables([schema.empty_table(), *tables])
    store.write_table(table, job.outputs["scores"], metadata, ["mean.list.element"])
    _LOG.info("%s: largest gap left %.2g", told.model, largest)


def _printed(path: Path, most: int, lm: LanguageModel) -> tuple[list[str], NDArray[np.float32]]:
    """Ids of the first samples of an attribution file, and their scores (sample, layer, neuron)."""
    table = store.read_table(path, ["sample_id", "layer", "scores"]).slice(0, most * lm.n_layers)
    ids = table["sample_id"].to_pylist()[:: lm.n_layers]
    scores = table["scores"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return ids, scores.reshape(len(ids), lm.n_layers, lm.n_neurons)


def _samples(lm: LanguageModel, path: Path, ids: list[str]) -> list[Sample]:
    known = {sample.sample_id: sample for sample in samples_of(lm, path)}
    return [known[sample_id] for sample_id in ids]


def _converged(lm: LanguageModel, told: ScoreConverged, samples: list[Sample]) -> list[Attribution]:
    settings = {k: v for k, v in told.method.items() if k != "locator"} | _RULE
    locate = plugins.load("locators", told.method["locator"]).locate
    found = locate(lm, samples, seed=told.seed, **settings)
    # Every sample has scores by the method's own rule, so none is dropped.
    return [a for a in found if isinstance(a, Attribution)]


def _schema(n_neurons: int) -> pa.Schema:
    kind = pa.list_(pa.field("element", pa.float32(), nullable=False), n_neurons)
    return pa.schema(
        [("task", pa.string()), ("rule", pa.string()), ("layer", pa.int16()), ("mean", kind)]
    )


def _table(schema: pa.Schema, task: str, rule: str, mean: NDArray[np.float32]) -> pa.Table:
    n_layers = len(mean)
    flat = pa.array(np.ascontiguousarray(mean, dtype=np.float32).reshape(-1))
    columns = [
        pa.array([task] * n_layers),
        pa.array([rule] * n_layers),
        pa.array(np.arange(n_layers), pa.int16()),
        pa.FixedSizeListArray.from_arrays(flat, type=schema.field("mean").type),
    ]
    return pa.table(columns, schema=schema)
