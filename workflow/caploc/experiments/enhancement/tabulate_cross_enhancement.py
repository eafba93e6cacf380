"""Fig. 4, enhancement half: training the located neurons of one task, tested on every task.

Rows by `comparison`: ``change`` is trained minus untrained, ``beside layer`` that of the located
neurons minus the mean over random ones of the same layers. `relation` says whether source and
target are one task (``self``), of one capability (``same type``) or not (``other type``). The
contrast, same type minus other type off the diagonal, is the row with source ``all`` and dataset
``same minus other``; the row of the arm `layer` is what random neurons give. `sets` says which
neurons of the mask were trained, see `caploc.measures.crossed_sets`.
"""

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc.experiments.enhancement._estimates import (
    ACCURACY,
    LOG_PROBABILITY,
    Enhanced,
    Point,
    estimated,
    read_enhanced,
)
from caploc.experiments.enhancement.settings import TabulateCrossEnhancement
from caploc.experiments.enhancement.table import CROSS_ENHANCEMENT
from caploc.files.tables import gathered, write
from caploc.jobs.job import Job
from caploc.measures.crossed_sets import crossed_name
from caploc.measures.statistics import resampled_means
from caploc.measures.summaries import exact, missing
from caploc.samples.capabilities import capabilities

__all__ = ["run"]

_Cell = tuple[float, NDArray[np.float64], int, int]
"""Value, bootstrap draws, samples, runs."""
_Key = tuple[str, str, str, str, str]
"""Source, target, arm, comparison, metric."""


def run(job: Job) -> None:
    """Estimate every cell and the contrasts.

    Args:
        job: inputs ``answers``; outputs
            ``csv``, ``parquet``.

    Raises:
        DataError: a damaged file.
    """
    files = [read_enhanced(path) for path in job.inputs["answers"]]
    told = job.told(TabulateCrossEnhancement)
    kinds = capabilities([entry | {"id": task} for task, entry in told.tasks.items()])
    found = []
    for ids in dict.fromkeys((f.spec["model"], f.spec["method"]) for f in files):
        group = [f for f in files if (f.spec["model"], f.spec["method"]) == ids]
        mask = group[0].spec["cross_mask"]
        if mask is None:
            continue
        for sets in group[0].spec["sets"]:
            rows = _rows(group, crossed_name(mask, sets), kinds, told.seed)
            found.append(
                gathered(rows, CROSS_ENHANCEMENT).with_columns(
                    model=pl.lit(ids[0]), method=pl.lit(ids[1]), mask=pl.lit(mask),
                    sets=pl.lit(sets),
                )
            )  # fmt: skip
    write(gathered(found, CROSS_ENHANCEMENT), job.outputs, job.origin())


def _rows(
    files: list[Enhanced], mask: str, kinds: dict[str, str], seed: int
) -> Iterator[pl.DataFrame]:
    """Every cell of one kind of sets, then the contrasts."""
    cells: dict[_Key, _Cell] = {}
    for file in files:
        cells |= dict(_cells(file, mask, seed))
        if not any(key[0] == file.spec["task"] for key in cells):
            yield _missing(file, mask)
    for (source, target, arm, comparison, metric), cell in cells.items():
        row = {"source": source, "dataset": target, "arm": arm, "metric": metric}
        row |= {"comparison": comparison, "relation": _relation(source, target, kinds)}
        yield _estimated(cell, **row)
    yield from _contrasts(cells, kinds)


def _relation(source: str, target: str, kinds: dict[str, str]) -> str:
    if source == target:
        return "self"
    return "same type" if kinds[source] == kinds[target] else "other type"


def _cells(file: Enhanced, mask: str, seed: int) -> Iterator[tuple[_Key, _Cell]]:
    source, last = file.spec["task"], file.spec["epochs"][-1]
    for target in (t["id"] for t in file.spec["targets"]):
        # Equal seeds for equal targets, so that sources share the resampled samples of a target.
        own = seed * 1_000_000 + zlib.crc32(target.encode()) % 1_000_000
        for metric in (LOG_PROBABILITY, ACCURACY):
            points = {"none": Point(target, "", "none", None, 0)}
            for arm in ("located", "layer"):
                points[arm] = Point(target, mask, arm, file.rate(mask, arm, "shared"), last)
            arms = {
                n: file.values[p, metric] for n, p in points.items() if (p, metric) in file.values
            }
            if "none" not in arms or "located" not in arms:
                continue
            draws = dict(zip(arms, resampled_means(list(arms.values()), seed=own), strict=True))
            means = {name: float(values.mean()) for name, values in arms.items()}
            n = arms["none"].shape[1]
            for arm in arms.keys() - {"none"}:
                change = (means[arm] - means["none"], draws[arm] - draws["none"])
                yield (source, target, arm, "change", metric), (*change, n, len(arms[arm]))
            if "layer" in arms:
                beside = (means["located"] - means["layer"], draws["located"] - draws["layer"])
                key = (source, target, "located", "beside layer", metric)
                yield key, (*beside, n, len(arms["layer"]))


def _contrasts(cells: dict[_Key, _Cell], kinds: dict[str, str]) -> Iterator[pl.DataFrame]:
    for arm, comparison, metric in dict.fromkeys(key[2:] for key in cells):
        groups: dict[str, list[_Cell]] = {}
        for key, cell in cells.items():
            if key[2:] == (arm, comparison, metric):
                groups.setdefault(_relation(key[0], key[1], kinds), []).append(cell)
        row = {"source": "all", "dataset": "same minus other", "arm": arm, "metric": metric}
        row |= {"comparison": comparison}
        same, other = groups.get("same type", []), groups.get("other type", [])
        if not same or not other:
            yield missing("no pair of tasks of the same type, or no other", **row)
            continue
        value = float(np.mean([c[0] for c in same]) - np.mean([c[0] for c in other]))
        draws = np.mean([c[1] for c in same], axis=0) - np.mean([c[1] for c in other], axis=0)
        cell = (value, draws, len(same) + len(other), max(c[3] for c in same))
        yield _estimated(cell, **row)


def _missing(file: Enhanced, mask: str) -> pl.DataFrame:
    reason = file.facts.get("not_computed")
    text = f"not computed: {reason}" if reason else file.facts["missing"].get(mask, "not computed")
    return exact(
        None, 0, source=file.spec["task"], arm="located", interval=text, metric=LOG_PROBABILITY,
        comparison="change",
    )  # fmt: skip


def _estimated(cell: _Cell, **columns: Any) -> pl.DataFrame:
    value, draws, n, n_runs = cell
    return estimated(value, draws, n, n_draws=n_runs, **columns)
