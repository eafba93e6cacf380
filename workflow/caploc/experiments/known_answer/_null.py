"""Checks in which nothing should be found: of the p values, and of "own minus other".

Calibration. One more random set takes the place of the located mask; its p among R others must be
uniform. All R + 1 sets are drawn alike beside the same located mask, so they are exchangeable. Sets
drawn beside a random set in turn would not be: they may hold located neurons, the first may not.

Specificity. One task is split at random into two "capabilities". The neurons located by one half do
to their own half what they do to the other one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caploc.measures.statistics import Estimate, bootstrap_mean, permutation_p

__all__ = ["Calibration", "binomial_interval", "calibrate", "own_minus_other"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """How often p was at most a level.

    Attributes:
        level: a.
        share: of the replicates with p <= a.
        low: lower end of the interval in which the share lies with probability 95 % if p is valid
            and has a chance of exactly a.
        high: upper end.
    """

    level: float
    share: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        """No more small p values than chance explains."""
        return self.share <= self.high


def calibrate(effects: ArrayLike, levels: Sequence[float]) -> list[Calibration]:
    """Compare the p values of exchangeable sets with what they promise.

    Args:
        effects: (replicate, set) effects, larger is stronger; the first set of each replicate
            stands for the located mask.
        levels: a, each a multiple of 1 / number of sets, so that P(p <= a) can be a.

    Raises:
        ValueError: a level that no p value can have, or fewer than two sets.
    """
    values = np.asarray(effects, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] < 2:
        raise ValueError(f"effects of shape {values.shape}; expected (replicate, two or more sets)")
    n_replicates, n_sets = values.shape
    for level in levels:
        if abs(level * n_sets - round(level * n_sets)) > 1e-9 or not 0 < level < 1:
            raise ValueError(f"level {level} is no multiple of 1 / {n_sets} between 0 and 1")
    p = np.array([permutation_p(float(row[0]), row[1:]) for row in values])
    found = []
    for level in levels:
        share = float((p <= level + 1e-12).mean())
        found.append(Calibration(level, share, *binomial_interval(n_replicates, level)))
    return found


def binomial_interval(n: int, p: float, level: float = 0.95) -> tuple[float, float]:
    """Shares between which a binomial share lies: quantiles of Binomial(n, p) divided by n.

    Args:
        n: trials.
        p: chance of a success.
        level: probability of the interval, half of the rest on either side at most.
    """
    outside = (1 - level) / 2
    mass, low, high = 0.0, 0, n
    for k in range(n + 1):
        mass += comb(n, k) * p**k * (1 - p) ** (n - k)
        if mass <= outside:
            low = k + 1
        if mass >= 1 - outside:
            high = k
            break
    return low / n, high / n


def own_minus_other(
    by_first: ArrayLike, by_second: ArrayLike, in_first: NDArray[np.bool_], seed: int
) -> Estimate:
    """Effect of neurons on the half that located them minus their effect on the other half.

    Args:
        by_first: (sample,) effect of silencing what the first half located.
        by_second: (sample,) likewise of the second half.
        in_first: (sample,) True for samples of the first half; both halves have as many.
        seed: of the bootstrap over samples.

    Returns:
        Mean over samples of the effect of their own half's neurons minus that of the other half's,
        which is the mean of the two differences of halves.

    Raises:
        ValueError: halves of different sizes.
    """
    a, b = np.asarray(by_first, dtype=float), np.asarray(by_second, dtype=float)
    if 2 * int(in_first.sum()) != len(in_first):
        raise ValueError(f"{int(in_first.sum())} of {len(in_first)} samples in the first half")
    return bootstrap_mean(np.where(in_first, a - b, b - a), seed=seed)
