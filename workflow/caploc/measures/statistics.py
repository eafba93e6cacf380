"""Intervals and tests for means, shares and differences.

Means over samples get a percentile bootstrap, shares a Wilson interval, "located against random" a
permutation-type p, and families of p values Holm's step-down correction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Estimate",
    "bootstrap_mean",
    "holm",
    "percentile_interval",
    "permutation_p",
    "resampled_means",
    "spread",
    "wilson",
]

# Indices drawn at once by the bootstrap: 8 MB, whatever the number of values.
_BLOCK = 1_000_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval.

    Attributes:
        value: point estimate.
        low: lower end of the interval.
        high: upper end of the interval.
        n: number of values behind it.
    """

    value: float
    low: float
    high: float
    n: int


def bootstrap_mean(
    values: ArrayLike, *, seed: int, n_draws: int = 1_000, level: float = 0.95
) -> Estimate:
    """Mean of `values` with a percentile bootstrap interval.

    Args:
        values: (sample,) finite numbers, at least one.
        seed: seed of the draws; the same seed gives the same interval.
        n_draws: bootstrap samples; >= 1.
        level: coverage, strictly between 0 and 1.

    Returns:
        The mean and the (1 - level) / 2 and (1 + level) / 2 quantiles of the resampled means.

    Raises:
        ValueError: no values, a value that is not finite, or a setting out of range.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"expected a non-empty list of numbers, found shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("a value is not finite")
    _check_level(level)
    if n_draws < 1:
        raise ValueError(f"n_draws is {n_draws}; expected at least 1")
    generator = np.random.default_rng(seed)
    rows = max(1, _BLOCK // array.size)
    means = np.concatenate(
        [
            array[generator.integers(array.size, size=(min(rows, n_draws - first), array.size))]
            .mean(axis=1)
            for first in range(0, n_draws, rows)
        ]
    )  # fmt: skip
    return Estimate(float(array.mean()), *percentile_interval(means, level=level), array.size)


def percentile_interval(draws: ArrayLike, *, level: float = 0.95) -> tuple[float, float]:
    """Ends of the percentile interval of bootstrap draws.

    Args:
        draws: (draw,) the number in each draw; at least one. NaN, where a draw has none, is
            left out.
        level: coverage, strictly between 0 and 1.

    Source: Efron, The Jackknife, the Bootstrap and Other Resampling Plans (1982), chapter 10.
    """
    low, high = np.nanquantile(
        np.asarray(draws, dtype=np.float64), [(1 - level) / 2, (1 + level) / 2]
    )
    return float(low), float(high)


def resampled_means(
    arms: Sequence[ArrayLike], *, seed: int, n_draws: int = 1_000
) -> NDArray[np.float64]:
    """Means of several arms over resampled runs and samples, for intervals of paired differences.

    Each draw takes as many samples, with replacement, as there are; the same ones for every arm.
    An arm of several runs (random masks, seeds) has its runs resampled too, so that an interval
    says how far the mean would move with other samples and other runs.

    Args:
        arms: (run, sample) finite numbers each, on the same samples; at least one run and sample.
        seed: of the draws; arms of the same samples and seed share their samples.
        n_draws: bootstrap draws; >= 1.

    Returns:
        (arm, draw) means.

    Raises:
        ValueError: no arm, arms of different numbers of samples, or a number that is not finite.
    """
    grids = [np.asarray(arm, dtype=np.float64) for arm in arms]
    if not grids or any(g.ndim != 2 or g.size == 0 for g in grids):
        raise ValueError(f"expected (run, sample) arms, found shapes {[g.shape for g in grids]}")
    n = grids[0].shape[1]
    if any(g.shape[1] != n for g in grids):
        raise ValueError(f"arms on {sorted({g.shape[1] for g in grids})} samples; expected equal")
    if not all(np.isfinite(g).all() for g in grids):
        raise ValueError("a value is not finite")
    generator = np.random.default_rng(seed)
    share = np.stack(
        [np.bincount(generator.integers(n, size=n), minlength=n) / n for _ in range(n_draws)]
    )  # (draw, sample)
    found = np.empty((len(grids), n_draws))
    for row, grid in zip(found, grids, strict=True):
        means = grid @ share.T  # (run, draw)
        runs = generator.integers(len(grid), size=(len(grid), n_draws))
        row[:] = np.take_along_axis(means, runs, axis=0).mean(axis=0)
    return found


def wilson(n_hits: int, n: int, *, level: float = 0.95) -> Estimate:
    """Share `n_hits` / `n` with Wilson's score interval.

    Args:
        n_hits: number of successes, 0 to `n`.
        n: number of trials; >= 1.
        level: coverage, strictly between 0 and 1.

    Raises:
        ValueError: a count or the level is out of range.

    Source: Wilson, Journal of the American Statistical Association 22 (1927) 209-212.
    """
    if not 0 <= n_hits <= n or n < 1:
        raise ValueError(f"{n_hits} successes in {n} trials: expected 0 <= successes <= n, n >= 1")
    _check_level(level)
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = n_hits / n
    scale = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    width = z / scale * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At 0 and n the ends are exactly 0 and 1; rounding would leave them a hair beside.
    low = 0.0 if n_hits == 0 else max(0.0, centre - width)
    high = 1.0 if n_hits == n else min(1.0, centre + width)
    return Estimate(share, low, high, n)


def spread(values: Sequence[float | None]) -> Estimate | None:
    """Mean and range over splits; a range, because splits share samples and are not independent.

    Args:
        values: one number per split, None where a split has none.

    Returns:
        Mean, smallest and largest of the numbers there are and their count; None without any.
    """
    found = [value for value in values if value is not None]
    if not found:
        return None
    mean = sum(found) / len(found)
    # The mean of equal numbers may round to just outside them.
    return Estimate(min(max(mean, min(found)), max(found)), min(found), max(found), len(found))


def permutation_p(effect: float, controls: ArrayLike) -> float:
    """Share of random controls at least as strong as the located set, itself counted among them.

    Args:
        effect: effect of the located set; larger is stronger.
        controls: (control,) effects of R random sets, scored on the same samples; R >= 1.

    Returns:
        (1 + number of controls >= effect) / (R + 1); never below 1 / (R + 1).

    Raises:
        ValueError: no controls, or a number that is not finite.
    """
    array = np.asarray(controls, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"expected a non-empty list of controls, found shape {array.shape}")
    if not (np.isfinite(array).all() and np.isfinite(effect)):
        raise ValueError("an effect is not finite")
    return (1 + int((array >= effect).sum())) / (array.size + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm-adjusted p values, in the order given.

    Args:
        p_values: p values of one family, each 0 to 1; may be empty.

    Returns:
        Adjusted values: the i-th smallest times (m - i), i from 0, made non-decreasing, at most 1.

    Raises:
        ValueError: a p value is outside 0 to 1.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979) 65-70.
    """
    for p in p_values:
        if not 0 <= p <= 1:
            raise ValueError(f"p value {p} is outside 0 to 1")
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = largest
    return adjusted


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; expected more than 0 and less than 1")
