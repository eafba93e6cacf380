"""Answers of the enhancement experiment as arrays: an arm is (run, sample), paired by sample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caploc.files import store
from caploc.measures.statistics import resampled_means
from caploc.records import DataError

__all__ = [
    "ACCURACY",
    "LOG_PROBABILITY",
    "Enhanced",
    "Point",
    "estimate",
    "interval_row",
    "read_enhanced",
]

ACCURACY, LOG_PROBABILITY = "accuracy", "log_probability"
_COLUMNS = ("target", "mask", "arm", "run", "rate", "epoch", "sample_id", "correct",
            "log_probability")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Point:
    """What was tested: an arm of a mask after some epochs at a rate, on one task.

    `mask` is empty for arms without one, `rate` None and `epoch` 0 for arms that do not train.
    """

    target: str
    mask: str
    arm: str
    rate: float | None
    epoch: int


@dataclass(frozen=True, slots=True)
class Enhanced:
    """One answers file.

    Attributes:
        spec: settings of the job that made it.
        facts: its metadata: trainings, missing, not_computed, ...
        values: (run, sample) numbers by point and metric; samples in the same order throughout
            a target.
    """

    spec: Mapping[str, Any]
    facts: Mapping[str, Any]
    values: Mapping[tuple[Point, str], NDArray[np.float64]]

    def rate(self, mask: str, arm: str, choice: str) -> float | None:
        """Learning rate of an arm by the choice `shared` or `best`; None if it was not trained."""
        for training in self.facts["trainings"]:
            if (training["mask"], training["arm"]) == (mask, arm) and choice in training["choices"]:
                return training["rate"]
        return None


def read_enhanced(path: Path) -> Enhanced:
    """Read the answers of one task.

    Raises:
        DataError: a damaged file, or an arm whose samples are not those of the unchanged model.
    """
    facts = store.read_metadata(path)
    table = store.read_table(path, _COLUMNS).to_pydict()
    found: dict[Point, dict[int, list[int]]] = {}
    for i in range(len(table["run"])):
        point = Point(*(table[name][i] for name in ("target", "mask", "arm", "rate", "epoch")))
        found.setdefault(point, {}).setdefault(table["run"][i], []).append(i)
    ids = {p.target: _names(table, runs[0]) for p, runs in found.items() if p.arm == "none"}
    values: dict[tuple[Point, str], NDArray[np.float64]] = {}
    for point, runs in found.items():
        if any(_names(table, rows) != ids.get(point.target) for rows in runs.values()):
            raise DataError(
                f"{path}: {point} has other samples than the unchanged model; delete the file and "
                "run again"
            )
        for metric, column in ((ACCURACY, "correct"), (LOG_PROBABILITY, LOG_PROBABILITY)):
            grid = [[table[column][i] for i in runs[run]] for run in sorted(runs)]
            if grid[0][0] is not None:
                values[point, metric] = np.array(grid, dtype=np.float64)
    return Enhanced(facts["origin"]["spec"], facts, values)


def estimate(
    arms: Sequence[NDArray[np.float64]], weights: Sequence[float], seed: int
) -> tuple[float, NDArray[np.float64]]:
    """A weighted sum of the means of arms on the same samples, and its bootstrap draws.

    Args:
        arms: (run, sample) each.
        weights: of the arms: (1,) for a mean, (1, -1) for a paired difference.
        seed: of the draws.
    """
    factors = np.asarray(weights, dtype=np.float64)
    value = float(factors @ [arm.mean() for arm in arms])
    return value, factors @ resampled_means(arms, seed=seed)


def interval_row(value: float, draws: NDArray[np.float64]) -> dict[str, Any]:
    """Columns of a table for a number and its bootstrap draws: 95 % percentile interval.

    Sums of equal numbers in another order differ in their last bits, which is no difference between
    arms: numbers are rounded to 12 decimals, so that equal arms differ by exactly 0.
    """
    low, high = np.quantile(draws, [0.025, 0.975])
    names = ("value", "ci_low", "ci_high")
    found = {n: round(float(x), 12) + 0.0 for n, x in zip(names, (value, low, high), strict=True)}
    return {**found, "interval": "bootstrap 95 %"}


def _names(table: Mapping[str, list[Any]], rows: Sequence[int]) -> list[str]:
    return [table["sample_id"][i] for i in rows]
