"""What silencing a set of neurons does, beside its random controls: numbers with intervals.

fall = log-probability per answer token of the unchanged model minus that of the silenced one, in
nat; larger is worse for the model. All arms are scored on the same samples, so every difference is
paired. excess = fall of a set minus the mean fall of its controls.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caploc.measures.statistics import (
    Estimate,
    bootstrap_mean,
    percentile_interval,
    permutation_p,
)

__all__ = ["Excess", "dose_area", "excess", "stratified"]


@dataclass(frozen=True, slots=True)
class Excess:
    """A set beside its controls.

    Attributes:
        estimate: mean over samples of the set's effect minus the mean effect of the controls.
        p: share of controls at least as strong, the set itself counted among them.
        n_draws: number of controls; p is never below 1 / (n_draws + 1).
    """

    estimate: Estimate
    p: float
    n_draws: int


def excess(effect: ArrayLike, controls: ArrayLike, seed: int) -> Excess:
    """Compare a set with its random controls on the same samples.

    Args:
        effect: (sample,) effect of the set; larger is stronger.
        controls: (draw, sample) effects of the random sets.
        seed: of the bootstrap over samples.

    Raises:
        ValueError: no samples, no draws, or shapes that do not fit.
    """
    own, others = np.asarray(effect, dtype=float), np.asarray(controls, dtype=float)
    if others.ndim != 2 or others.shape[1:] != own.shape:
        raise ValueError(f"effects of shape {own.shape}, controls {others.shape}: not paired")
    found = bootstrap_mean(own - others.mean(axis=0), seed=seed)
    return Excess(found, permutation_p(float(own.mean()), others.mean(axis=1)), len(others))


def dose_area(falls: ArrayLike, shares: ArrayLike) -> NDArray[np.float64]:
    """Area under a dose-response curve over the logarithm of the dose, divided by its width.

    Args:
        falls: (dose, sample) effect at each dose.
        shares: (dose,) doses, ascending, > 0; at least two.

    Returns:
        (sample,) area: the mean effect over the range of doses.
    """
    x, y = np.log(np.asarray(shares, dtype=float)), np.asarray(falls, dtype=float)
    if len(x) < 2 or (np.diff(x) <= 0).any():
        raise ValueError(f"doses {list(np.exp(x))}: expected at least two, ascending")
    width = np.diff(x)[:, None]
    return ((y[1:] + y[:-1]) / 2 * width).sum(axis=0) / (x[-1] - x[0])


def stratified(groups: Sequence[ArrayLike], seed: int, n_draws: int = 1_000) -> Estimate:
    """Mean of the means of several groups, resampled within each.

    Args:
        groups: (sample,) numbers of each group, not empty.
        seed: of the draws.
        n_draws: bootstrap samples.
    """
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(group, dtype=float) for group in groups]
    means = np.zeros(n_draws)
    for values in arrays:
        means += values[rng.integers(len(values), size=(n_draws, len(values)))].mean(axis=1)
    value = float(np.mean([values.mean() for values in arrays]))
    return Estimate(value, *percentile_interval(means / len(arrays)), sum(map(len, arrays)))
