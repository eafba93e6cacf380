"""Table 2: what training located neurons does, beside the other arms, with paired differences.

Rows by `comparison`: empty for the value of an arm, ``change`` for arm minus no training, ``located
minus`` for the located arm minus this arm at the same epoch. Intervals: 95 % percentile bootstrap
over samples, and over runs where an arm has several. `dataset` ``average`` is the plain mean over
the tasks that were trained on.
"""

import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc.experiments.enhancement._estimates import (
    ACCURACY,
    LOG_PROBABILITY,
    Enhanced,
    Point,
    estimate,
    estimated,
    read_enhanced,
)
from caploc.experiments.enhancement.settings import TabulateEnhancement
from caploc.experiments.enhancement.table import ENHANCEMENT
from caploc.files.tables import gathered, write
from caploc.jobs.job import Job
from caploc.measures.summaries import exact

__all__ = ["run"]

_WITHOUT_MASK = ("none", "full")
_UNTRAINED = ("none", "scaled")
_AVERAGE = "average"


def run(job: Job) -> None:
    """Estimate every cell.

    Args:
        job: inputs ``answers``; outputs ``csv``, ``parquet``.

    Raises:
        DataError: a damaged file.
    """
    told = job.told(TabulateEnhancement)
    files = [read_enhanced(path) for path in job.inputs["answers"]]
    found = []
    for ids in dict.fromkeys((f.spec["model"], f.spec["method"]) for f in files):
        group = [f for f in files if (f.spec["model"], f.spec["method"]) == ids]
        for mask, sigma in told.sigmas.items():
            cells = [_Cells(f, mask, told.seed) for f in group]
            rows = [row for one in cells for row in one.rows()]
            found.append(
                gathered([*rows, *_averages(cells)], ENHANCEMENT).with_columns(
                    model=pl.lit(ids[0]), method=pl.lit(ids[1]), mask=pl.lit(mask),
                    sigma=pl.lit(sigma, pl.Float64),
                )
            )  # fmt: skip
    write(gathered(found, ENHANCEMENT), job.outputs, job.origin())


class _Cells:
    """All cells of one task and mask; draws are kept for the average over tasks."""

    def __init__(self, file: Enhanced, mask: str, seed: int) -> None:
        self.file, self.mask, self.task = file, mask, file.spec["task"]
        # Tasks have samples of their own, so their draws must not be the same.
        self._seed = seed * 1_000_000 + zlib.crc32(self.task.encode()) % 1_000_000
        self.estimates: dict[
            tuple[Any, ...], tuple[float, NDArray[np.float64], dict[str, Any]]
        ] = {}

    def rows(self) -> Iterator[pl.DataFrame]:
        """Rows of this task; a cell that could not be computed has the reason."""
        arms = ["none", *self.file.spec["arms"]]
        # With one rate, shared and best are the same arms.
        choices = ("shared", "best") if len(self.file.spec["rates"]) > 1 else ("shared",)
        for choice in choices:
            for arm in arms:
                for epoch in [0] if arm in _UNTRAINED else self.file.spec["epochs"]:
                    yield from self._cell(arm, choice, epoch)
        for arm in arms:
            yield from self._sizes(arm)

    def point(self, arm: str, choice: str, epoch: int) -> Point:
        """Where an arm stands in the file."""
        mask = "" if arm in _WITHOUT_MASK else self.mask
        if arm in _UNTRAINED:
            return Point(self.task, mask, arm, None, 0)
        return Point(self.task, mask, arm, self.file.rate(mask, arm, choice), epoch)

    def _cell(self, arm: str, choice: str, epoch: int) -> Iterator[pl.DataFrame]:
        here = self.point(arm, choice, epoch)
        same = {"dataset": self.task, "arm": arm, "choice": choice, "rate": here.rate}
        same |= {"epoch": epoch}
        located = replace(self.point("located", choice, epoch), epoch=epoch)
        comparisons: list[tuple[str, list[Point], list[float]]] = [("", [here], [1.0])]
        if arm != "none":
            comparisons.append(("change", [here, self.point("none", "", 0)], [1.0, -1.0]))
        if arm not in ("located", *_UNTRAINED):
            comparisons.append(("located minus", [located, here], [1.0, -1.0]))
        for comparison, points, weights in comparisons:
            for metric in (ACCURACY, LOG_PROBABILITY):
                row = same | {"comparison": comparison, "metric": metric}
                arms = [self.file.values.get((p, metric)) for p in points]
                if any(a is None for a in arms):
                    yield exact(None, 0, interval=self._reason(here), **row)
                    continue
                known = [a for a in arms if a is not None]
                value, draws = estimate(known, weights, self._seed)
                self.estimates[arm, choice, epoch, comparison, metric] = (value, draws, row)
                # The arm that is compared, if any, says how many runs there are.
                runs = len(known[-1 if comparison == "located minus" else 0])
                yield estimated(value, draws, known[0].shape[1], n_draws=runs, **row)

    def _sizes(self, arm: str) -> Iterator[pl.DataFrame]:
        """How many values an arm trains."""
        mask = "" if arm in _WITHOUT_MASK else self.mask
        for training in self.file.facts["trainings"]:
            if (training["mask"], training["arm"], training["run"]) == (mask, arm, 0):
                row = {"dataset": self.task, "arm": arm, "metric": "trained_values"}
                yield exact(float(training["n_trained"]), 1, **row)
                return

    def _reason(self, point: Point) -> str:
        facts = self.file.facts
        missing = facts["missing"]
        for key in (self.mask, f"{self.mask}/{point.arm}"):
            if key in missing:
                return str(missing[key])
        if "not_computed" in facts:
            return f"not computed: {facts['not_computed']}"
        for training in facts["trainings"]:
            same = (training["mask"], training["arm"]) == (point.mask, point.arm)
            if same and training["diverged"]:
                return f"not computed: training diverged: {training['diverged']}"
        return "not computed"


def _averages(cells: list[_Cells]) -> Iterator[pl.DataFrame]:
    """Mean over tasks where every task has the cell; tasks are resampled independently."""
    for key in cells[0].estimates:
        parts = [one.estimates.get(key) for one in cells]
        known = [part for part in parts if part is not None]
        if len(known) < len(cells) or len(cells) < 2:
            continue
        draws = np.mean([draws for _, draws, _ in known], axis=0)
        value = float(np.mean([v for v, _, _ in known]))
        rates = {row["rate"] for _, _, row in known}
        row = known[0][2] | {"dataset": _AVERAGE, "rate": rates.pop() if len(rates) == 1 else None}
        yield estimated(value, draws, len(known), **row)
