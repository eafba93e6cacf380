"""Knowledge neurons of the samples of capability tasks: what single samples of a task share.

The counterpart of `measure_fidelity` for data without rewrites: every sample is compared with other
samples of its task and of other tasks. The attributions of the run serve: their points are those of
KN up to a factor that its rule does not see.

Settings: ``model``, ``method``, ``tasks``, ``ratio``, ``samples`` (of each task), ``partners``,
``n_draws``, ``minimum``, ``seed``. Inputs: ``shards`` (the first of every task). Output: ``part``.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caploc.experiments.fidelity._comparisons import METRICS, FactSets, compare
from caploc.experiments.fidelity.table import FIDELITY
from caploc.files import store
from caploc.files._old_tables import rows as as_table
from caploc.files.shards import rows as stream
from caploc.files.shards import scan
from caploc.jobs.job import Job
from caploc.measures.averages import Row, averaged
from caploc.measures.knowledge_neurons import select

__all__ = ["run"]

_NAMES = {
    "same relation": "same data set",
    "other relation": "other data set",
    "random uniform": "random uniform",
    "random by layer": "random by layer",
}


def run(job: Job) -> None:
    """Select the neurons of each sample, compare samples.

    Raises:
        DataError: a damaged file.
    """
    spec = job.spec
    facts: list[FactSets] = []
    shape = (0, 0)
    for path in job.inputs["shards"]:
        for task, sample_id, scores in _samples(path, spec["samples"]):
            grid, shape = select(scores, spec["ratio"]), scores.shape
            facts.append(
                FactSets(f"{task}/{sample_id}", task, sample_id, grid.ravel(), [grid.ravel()])
            )
    found = compare(
        facts, [shape[1]] * shape[0], partners=spec["partners"], n_draws=spec["n_draws"],
        seed=spec["seed"],
    )  # fmt: skip
    base = {"model": spec["model"], "locator": "kn", "unit": "ffn neuron", "averaged_facts": 1}
    base |= {"rule": f"{spec['ratio']:g} x max"}
    result: list[Row] = []
    for task in spec["tasks"]:
        own = [fact for fact in facts if fact.relation == task]
        named = base | {"dataset": task}
        counts = [int(fact.original.sum()) for fact in own if fact.original is not None]
        if counts:
            size = {"metric": "located_count", "value": float(np.mean(counts)), "n": len(counts)}
            result.append(named | size)
        for comparison, name in _NAMES.items():
            pairs = [found[comparison].get(fact.fact_id) for fact in own]
            for metric in METRICS:
                values = [p.values[metric] for p in pairs if p is not None and p.values]
                row = {"comparison": name, "metric": metric}
                result.append(named | row | averaged(values, spec["minimum"], spec["seed"]))
    store.write_table(as_table(result, FIDELITY), job.outputs["part"], {"origin": job.origin()})


def _samples(path: Path, n: int) -> Iterator[tuple[str, str, NDArray[np.float32]]]:
    """Task, id and (layer, neuron) scores of the first samples of a file."""
    (shard,) = scan([path])
    grid = np.zeros((shard.n_layers, shard.n_neurons), np.float32)
    for scores, samples, layers in stream([shard]):
        for row, sample, layer in zip(scores, samples, layers, strict=True):
            if sample >= n:
                return
            grid[layer] = row
            if layer == shard.n_layers - 1:
                yield shard.task, shard.sample_ids[sample], grid.copy()
