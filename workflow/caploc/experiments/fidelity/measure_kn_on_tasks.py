"""Knowledge neurons of the samples of capability tasks: what single samples of a task share.

The counterpart of `measure_fidelity` for data without rewrites: every sample is compared with other
samples of its task and of other tasks. The attributions of the run serve: their points are those of
KN up to a factor that its rule does not see.

Settings: `MeasureKnOnTasks`. Inputs: ``shards`` (the first of every task). Output: ``part``.
"""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc.experiments.fidelity._comparisons import METRICS, FactSets, compare
from caploc.experiments.fidelity._means import averaged, long
from caploc.experiments.fidelity.settings import MeasureKnOnTasks
from caploc.experiments.fidelity.table import FIDELITY
from caploc.files import tables
from caploc.files.shards import rows, scan
from caploc.jobs.job import Job
from caploc.measures.knowledge_neurons import select
from caploc.measures.summaries import named

__all__ = ["run"]

_NAMES = {
    "same relation": "same data set",
    "other relation": "other data set",
    "random uniform": "random uniform",
    "random by layer": "random by layer",
}
_BY = ["dataset", "comparison", "metric"]


def run(job: Job) -> None:
    """Select the neurons of each sample, compare samples.

    Raises:
        DataError: a damaged file.
    """
    told = job.told(MeasureKnOnTasks)
    facts: list[FactSets] = []
    shape = (0, 0)
    for path in job.inputs["shards"]:
        for task, sample_id, scores in _samples(path, told.samples):
            grid, shape = select(scores, told.ratio).ravel(), scores.shape
            facts.append(FactSets(f"{task}/{sample_id}", task, sample_id, grid, [grid]))
    pairs = compare(facts, [shape[1]] * shape[0], told)
    located = pl.DataFrame(
        [(fact.fact_id, fact.relation, np.count_nonzero(fact.original)) for fact in facts],
        {"fact": pl.String, "dataset": pl.String, "size": pl.Float64}, orient="row",
    )  # fmt: skip
    counts = located.group_by("dataset").agg(value=pl.col("size").mean(), n=pl.len())
    pairs = pairs.join(located, on="fact", maintain_order="left").with_columns(
        pl.col("comparison").replace_strict(_NAMES, default=None)
    )
    every = pl.DataFrame([*product(told.tasks, _NAMES.values(), METRICS)], _BY, orient="row")
    values = long(pairs.drop_nulls("comparison"), "dataset", "comparison")
    means = averaged(pl.concat([every, values], how="diagonal"), _BY, told)
    table = tables.gathered([named(counts, metric="located_count"), means], FIDELITY)
    about = {"model": told.model, "rule": f"{told.ratio:g} x max", "locator": "kn"}
    table = named(table, **about, unit="ffn neuron", averaged_facts=1)
    tables.write_part(table, job.outputs["part"], job.origin())


def _samples(path: Path, n: int) -> Iterator[tuple[str, str, NDArray[np.float32]]]:
    """Task, id and (layer, neuron) scores of the first samples of a file."""
    (shard,) = scan([path])
    grid = np.zeros((shard.n_layers, shard.n_neurons), np.float32)
    for scores, samples, layers in rows([shard]):
        for row, sample, layer in zip(scores, samples, layers, strict=True):
            if sample >= n:
                return
            grid[layer] = row
            if layer == shard.n_layers - 1:
                yield shard.task, shard.sample_ids[sample], grid.copy()
