"""How far the masks of different tasks coincide, beside chance."""

from itertools import combinations

import numpy as np
import polars as pl

from caploc.experiments.agreement.settings import MeasureOverlap
from caploc.experiments.agreement.table import AGREEMENT
from caploc.files.masks import read_located
from caploc.files.tables import gathered, write_part
from caploc.jobs.job import Job
from caploc.measures.agreement import MEASURES
from caploc.measures.summaries import exact, missing

__all__ = ["run"]


def run(job: Job) -> None:
    """Compare every pair of tasks, the earlier one of the config first.

    Args:
        job: inputs ``masks``, one for each of the tasks, in that order; output ``part``.

    Raises:
        DataError: a damaged mask, a mask of another task, or grids that differ.
    """
    told = job.told(MeasureOverlap)
    grids, reasons = read_located(told.tasks, job.inputs["masks"])
    located = {task: grid > 0 for task, grid in grids.items()}
    found = []
    for a, b in combinations(told.tasks, 2):
        pair = {"dataset": a, "reference": b}
        reason = reasons.get(a) or reasons.get(b)
        if reason:
            found.append(missing(reason, metric="overlap", **pair))
            continue
        values = {name: measure(located[a], located[b]) for name, measure in MEASURES.items()}
        values["shared_count"] = float(np.count_nonzero(located[a] & located[b]))
        found += [exact(v, int(v is not None), metric=name, **pair) for name, v in values.items()]
    table = gathered(found, AGREEMENT).with_columns(
        model=pl.lit(told.model), method=pl.lit(told.method), mask=pl.lit(told.mask),
        sigma=pl.lit(told.sigma, pl.Float64), arm=pl.lit("located"), comparison=pl.lit("datasets"),
    )  # fmt: skip
    write_part(table, job.outputs["part"], job.origin())
