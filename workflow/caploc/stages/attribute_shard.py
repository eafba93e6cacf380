"""Score every neuron of a model for one shard of the samples of a task.

Settings: `AttributeShard`; a shard is rows [shard * size, (shard + 1) * size) of the samples.
Inputs: ``manifest``, ``samples``. Output: ``scores``, one row per sample and layer. Samples that
cannot be scored are left out and listed in the metadata with the reason.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from caploc import plugins
from caploc.attribution.engine import Attribution
from caploc.attribution.memory import use_huge_pages
from caploc.attribution.rules import path_rule
from caploc.files import store
from caploc.forward.processor import use_processor
from caploc.forward.samples import in_chat, model_of, raw_samples
from caploc.jobs.digests import weights_digest
from caploc.jobs.job import Job
from caploc.jobs.partial_work import partial_work, sealed
from caploc.jobs.progress import tracked
from caploc.models.language_model import LanguageModel
from caploc.records import DataError, Dropped, Sample
from caploc.settings import Count, Natural
from caploc.stages.settings import Scored

__all__ = ["AttributeShard", "run"]

_LOG = logging.getLogger(__name__)
# Samples scored together: enough to group by length, one row group of the file, and what a kill
# costs at most.
_GROUP = 64
_SMALL = (
    "probability", "probability_zeroed", "gap_mean", "gap_max", "endpoint", "rest_mean", "rest_max",
)  # fmt: skip
_FLOATS = ("scores.list.element", *_SMALL)
# What the rule adaptive did, per answer token.
_PATH = {"intervals": pa.int32(), "center": pa.float64(), "radius": pa.float64()}


@dataclass(frozen=True, kw_only=True)
class AttributeShard(Scored):
    """Score one shard of the samples of a task.

    Attributes:
        task: id
        shard: number, from 0
        shard_size: samples in a shard
    """

    task: str
    shard: Natural
    shard_size: Count


def run(job: Job) -> None:
    """Load, score group by group, write row groups."""
    use_huge_pages()
    use_processor(job.threads)
    told = job.told(AttributeShard)
    samples = _read_samples(job.input("samples"), told.shard, told.shard_size)
    manifest = store.read_json(job.input("manifest"))
    lm = model_of(job.input("manifest"), job.spec)
    samples = in_chat(lm, samples)
    metadata = {
        "origin": job.origin(),
        **_described_path(told.method),
        "site": told.method.get("site"),
        "n_samples": 0,
        "dropped": [],
        "answer_positions": {},
        "model": {
            **{key: manifest.get(key) for key in _DESCRIBED},
            "weights": weights_digest(manifest["files"]) if manifest.get("files") else None,
        },
    }
    schema = _schema(lm.n_neurons, told.method.get("rule") == "adaptive")
    firsts = range(0, len(samples), _GROUP)
    with (
        partial_work(job) as partial,
        store.table_writer(job.outputs["scores"], schema, metadata, _FLOATS) as writer,
    ):
        chunks = (
            _chunk(partial / f"{first:06d}.parquet", lm, samples[first : first + _GROUP], told)
            for first in firsts
        )
        what = f"{told.model}: groups of {_GROUP} samples"
        for path in tracked(chunks, total=len(firsts), what=what):
            writer.write_table(store.read_table(path))
            facts = store.read_metadata(path)
            metadata["n_samples"] += facts["n_samples"]
            metadata["dropped"] += facts["dropped"]
            metadata["answer_positions"] |= facts["answer_positions"]
    _LOG.info(
        "%s: %d samples scored, %d left out", told.model, metadata["n_samples"],
        len(metadata["dropped"]),
    )  # fmt: skip


_DESCRIBED = (
    "model", "repo", "revision", "architecture", "family", "n_layers", "n_neurons", "n_parameters",
)  # fmt: skip


def _described_path(method: dict[str, Any]) -> dict[str, Any]:
    """The path rule, if there is one; points and weights of an adaptive one are in the rows."""
    if "rule" not in method:
        return {"rule": None, "points": None, "weights": None}
    if method["rule"] == "adaptive":
        names = ("rule", "steps", "tolerance")
        return {name: method[name] for name in names} | {"points": None, "weights": None}
    path = path_rule(method["rule"], method["steps"])
    return {
        "rule": path.name,
        "points": path.points.tolist(),
        "weights": path.weights.tolist(),
    }


def _read_samples(path: Path, shard: int, size: int) -> list[Sample]:
    table = store.read_table(path, ["sample_id"])
    repeated = [name for name, n in Counter(table["sample_id"].to_pylist()).items() if n > 1]
    if repeated:
        raise DataError(
            f"{path}: sample_id {repeated[0]!r} occurs more than once ({len(repeated)} such ids); "
            "expected every id once: correct the task that wrote the file and run again"
        )
    return raw_samples(path, size, shard * size)


def _chunk(path: Path, lm: LanguageModel, samples: list[Sample], told: AttributeShard) -> Path:
    """Score a group of samples, unless an attempt that was killed has done so."""
    if path.is_file():
        return path
    results = list(_groups(lm, samples, told))
    scored = [(s, result) for s, result in results if not isinstance(result, Dropped)]
    facts = {
        "n_samples": len(scored),
        "dropped": [[s.sample_id, str(r)] for s, r in results if isinstance(r, Dropped)],
        "answer_positions": {
            s.sample_id: r.positions
            for s, r in scored
            if isinstance(r, Attribution) and len(r.positions) < r.n_answer_tokens
        },
    }
    schema = _schema(lm.n_neurons, told.method.get("rule") == "adaptive")
    table = _table(scored, schema) if scored else schema.empty_table()
    with sealed(path) as temporary:
        store.write_table(table, temporary, facts, _FLOATS)
    return path


def _groups(
    lm: LanguageModel, samples: list[Sample], told: AttributeShard
) -> Iterator[tuple[Sample, Any]]:
    """Samples in file order with their results, scored a group at a time."""
    settings = {key: value for key, value in told.method.items() if key != "locator"}
    locator = plugins.load("locators", told.method["locator"])
    if locator.UNIT != "ffn neuron":
        raise DataError(
            f"locator {told.method['locator']!r} scores every {locator.UNIT}, attributions are "
            "of neurons; choose another for methods that locate the neurons of a task"
        )
    locate = locator.locate
    for first in range(0, len(samples), _GROUP):
        group = samples[first : first + _GROUP]
        yield from zip(group, locate(lm, group, seed=told.seed, **settings), strict=True)


def _schema(n_neurons: int, adaptive: bool) -> pa.Schema:
    return pa.schema(
        {
            "sample_id": pa.string(),
            "layer": pa.int16(),
            "scores": pa.list_(pa.float32(), n_neurons),
            **dict.fromkeys(_SMALL, pa.float64()),
            "n_answer_tokens": pa.int32(),
            **({name: pa.list_(kind) for name, kind in _PATH.items()} if adaptive else {}),
        }
    )


def _table(group: list[tuple[Sample, Any]], schema: pa.Schema) -> pa.Table:
    """One row per sample and layer; what only a path integral says is missing without one."""
    results = [result for _, result in group]
    n_layers = len(results[0].scores)
    scores = np.concatenate([r.scores for r in results]).astype(np.float32)
    ids = [sample.sample_id for sample, _ in group]
    columns = {
        "sample_id": pa.array([name for name in ids for _ in range(n_layers)], pa.string()),
        "layer": pa.array(np.tile(np.arange(n_layers, dtype=np.int16), len(group))),
        "scores": pa.FixedSizeListArray.from_arrays(
            pa.array(scores.reshape(-1)), type=schema.field("scores").type
        ),
    }
    if all(isinstance(r, Attribution) for r in results):
        columns |= _of_path(results, schema)
    missing = {f.name: pa.nulls(len(scores), f.type) for f in schema if f.name not in columns}
    return pa.table(columns | missing, schema=schema)


def _of_path(results: list[Attribution], schema: pa.Schema) -> dict[str, pa.Array]:
    """Columns beside the scores; numbers of the layers side by side are (layer,) arrays."""
    n_layers = len(results[0].scores)
    rest = [r.gap if r.rest is None else r.rest for r in results]
    small = {
        "probability": [np.full(n_layers, r.probability.mean()) for r in results],
        "probability_zeroed": [r.probability_zeroed.mean(1) for r in results],
        "gap_mean": [r.gap.mean(1) for r in results],
        "gap_max": [r.gap.max(1) for r in results],
        "endpoint": [_endpoint(r).mean(1) for r in results],
        "rest_mean": [r.mean(1) for r in rest],
        "rest_max": [r.max(1) for r in rest],
    }
    columns = {
        **{name: pa.array(np.concatenate(values)) for name, values in small.items()},
        "n_answer_tokens": pa.array(
            np.repeat(np.array([r.n_answer_tokens for r in results], np.int32), n_layers)
        ),
    }
    for name in _PATH:
        if name in schema.names:
            found = [layer.tolist() for r in results for layer in getattr(r, name)]
            columns[name] = pa.array(found, schema.field(name).type)
    return columns


def _endpoint(result: Attribution) -> Any:
    """(layer, token) size of the endpoint term; 0 where the rule has none."""
    return np.zeros_like(result.gap) if result.endpoint is None else np.abs(result.endpoint)
