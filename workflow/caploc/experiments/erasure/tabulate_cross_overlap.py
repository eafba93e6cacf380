"""The table `cross_overlap`: how far the located sets of different data sets coincide."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from zlib import crc32

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc.experiments.erasure._crossed import NO_CONTRAST, dealt
from caploc.experiments.erasure._crossing import contrast_of
from caploc.experiments.erasure.settings import TabulateCrossOverlap
from caploc.experiments.erasure.table import CROSS_OVERLAP
from caploc.files import store
from caploc.files.masks import read_located
from caploc.files.tables import gathered, write
from caploc.jobs.job import Job
from caploc.measures import agreement
from caploc.measures.crossed_sets import common, crossed_sets
from caploc.measures.random_sets import draw
from caploc.measures.statistics import permutation_p
from caploc.measures.summaries import exact, missing
from caploc.samples.capabilities import capabilities

__all__ = ["run"]

_DRAWS = 199
_Sets = Mapping[str, NDArray[np.bool_]]


def run(job: Job) -> None:
    """Overlap of every pair, and the contrast of same against other capability.

    Args:
        job: input ``masks``, one for every model, method and task, the tasks of one model and
            method together and in the order of the settings; outputs ``csv`` and ``parquet``.

    Raises:
        DataError: a damaged mask, a mask of another task, or grids that differ.
    """
    told = job.told(TabulateCrossOverlap)
    types = capabilities(told.tasks)
    groups: dict[tuple[str, str], list[Path]] = {}
    for path in job.inputs["masks"]:
        asked = store.read_metadata(path)["origin"]["spec"]
        groups.setdefault((asked["model"], asked["method"]), []).append(path)
    found = [
        gathered(_rows(paths, types, f"{told.seed}/{model}/{method}"), CROSS_OVERLAP).with_columns(
            model=pl.lit(model), method=pl.lit(method)
        )
        for (model, method), paths in groups.items()
    ]
    same = {"mask": pl.lit(told.mask), "sigma": pl.lit(told.sigma, pl.Float64)}
    table = gathered(found, CROSS_OVERLAP).with_columns(**same)
    write(table, job.outputs, job.origin())


def _rows(paths: list[Path], types: Mapping[str, str], seed: str) -> Iterator[pl.DataFrame]:
    located, reasons = read_located(list(types), paths)
    for task, reason in reasons.items():
        yield missing(reason, source=task, metric="overlap")
    if not located:
        return
    yield exact(float(common(located).sum()), 1, metric="n_common")
    for kind, sets in crossed_sets(located).items():
        for rows in (*_pairs(sets), *_contrast(sets, types, f"{seed}/{kind}")):
            yield rows.with_columns(sets=pl.lit(kind))


def _pairs(sets: _Sets) -> Iterator[pl.DataFrame]:
    for task, own in sets.items():
        yield exact(float(own.sum()), 1, source=task, metric="n_neurons")
    for a, b in combinations(sets, 2):
        values = {
            "overlap": agreement.overlap(sets[a], sets[b]),
            "iou": agreement.iou(sets[a], sets[b]),
            "chance_overlap_layer": agreement.chance_overlap_layer(sets[a], sets[b]),
            "shared_count": float(np.count_nonzero(sets[a] & sets[b])),
        }
        for metric, value in values.items():
            yield exact(value, int(value is not None), source=a, target=b, metric=metric)


def _contrast(sets: _Sets, types: Mapping[str, str], seed: str) -> Iterator[pl.DataFrame]:
    """Same against other capability: with random sets of the same layers, and dealt-out labels."""
    name, tasks, labels = "overlap_contrast", list(sets), [types[task] for task in sets]
    matrix = _matrix(sets, tasks)
    value = contrast_of(matrix, labels)
    if value is None:
        yield missing(NO_CONTRAST, metric=name)
        return
    null = []
    for k in range(_DRAWS):
        random = {
            task: draw(own, "layer", crc32(f"{seed}/{task}/{k}".encode()))
            for task, own in sets.items()
        }
        drawn = contrast_of(_matrix(random, tasks), labels)
        assert drawn is not None  # the same cells
        null.append(drawn)
    yield exact(
        value, len(tasks), metric=name, n_draws=_DRAWS, p=permutation_p(value, null),
        role="exploratory",
    )  # fmt: skip
    yield from dealt(matrix, labels, name)


def _matrix(sets: _Sets, tasks: Sequence[str]) -> NDArray[np.float64]:
    """(source, target) overlap; NaN where a set is empty."""
    matrix = np.full((len(tasks), len(tasks)), np.nan)
    for (i, a), (j, b) in combinations(enumerate(tasks), 2):
        found = agreement.overlap(sets[a], sets[b])
        matrix[i, j] = matrix[j, i] = np.nan if found is None else found
    return matrix
