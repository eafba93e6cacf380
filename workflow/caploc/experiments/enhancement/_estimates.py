"""Answers of the enhancement experiment as arrays: an arm is (run, sample), paired by sample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc.files import store
from caploc.files.tables import read
from caploc.measures.statistics import Estimate, percentile_interval, resampled_means
from caploc.measures.summaries import of_estimates
from caploc.records import DataError

__all__ = [
    "ACCURACY",
    "LOG_PROBABILITY",
    "Enhanced",
    "Point",
    "estimate",
    "estimated",
    "read_enhanced",
]

ACCURACY, CORRECT, LOG_PROBABILITY = "accuracy", "correct", "log_probability"


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
    table = read(path)
    by = ["target", "mask", "arm", "rate", "epoch"]
    runs = table.group_by([*by, "run"], maintain_order=True).agg(
        "sample_id", CORRECT, LOG_PROBABILITY
    )
    ids = dict(
        runs.filter(arm="none").unique("target", keep="first").select("target", "sample_id").rows()
    )
    values: dict[tuple[Point, str], NDArray[np.float64]] = {}
    for key, found in runs.sort("run").group_by(by, maintain_order=True):
        point = Point(*key)
        if any(names.to_list() != ids.get(point.target) for names in found["sample_id"]):
            raise DataError(
                f"{path}: {point} has other samples than the unchanged model; delete the file and "
                "run again"
            )
        for metric, column in ((ACCURACY, CORRECT), (LOG_PROBABILITY, LOG_PROBABILITY)):
            if found[column][0][0] is not None:
                values[point, metric] = np.array(found[column].to_list(), dtype=np.float64)
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


def estimated(value: float, draws: NDArray[np.float64], n: int, **columns: Any) -> pl.DataFrame:
    """One row for a number and its bootstrap draws: 95 % percentile interval.

    Sums of equal numbers in another order differ in their last bits, which is no difference between
    arms: numbers are rounded to 12 decimals, so that equal arms differ by exactly 0.

    Args:
        value: the number.
        draws: (draw,) the same from resampled runs and samples.
        n: samples, or tasks, behind it.
        columns: what the row is about.
    """
    middle, low, high = (round(x, 12) + 0.0 for x in (value, *percentile_interval(draws)))
    found = of_estimates([Estimate(middle, low, high, n)])
    return found.with_columns(**{name: pl.lit(x) for name, x in columns.items()})
