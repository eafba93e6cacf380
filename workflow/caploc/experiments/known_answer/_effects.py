"""Which planted neurons are used: the effect of each among random subsets of the planted set.

    effect(j) = mean over subsets S of [ f(S without j) - f(S with j) ]

f(S) is the mean log-probability of the gold answers, in nat, while S is silenced, so an effect
above 0 speaks for the neuron. In each subset every planted neuron is silenced with probability 1/2.
That a set is needed as a whole does not show that all of its neurons are used.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Effects", "effects_of", "flips"]

Grid = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Effects:
    """Effects of planted neurons, in the order of `np.nonzero` of the planted set.

    Attributes:
        mean: (neuron,) mean effect over the subsets, in nat per sample.
        error: (neuron,) standard error of that mean over the subsets.
    """

    mean: NDArray[np.float64]
    error: NDArray[np.float64]

    def effective(self, least: float) -> NDArray[np.bool_]:
        """(neuron,) True where the effect less two standard errors exceeds `least`, in nat."""
        return self.mean - 2 * self.error > least


def flips(planted: Grid, n_subsets: int, seed: int) -> tuple[list[Grid], NDArray[np.bool_]]:
    """What to silence: each random subset, and the same with each planted neuron flipped.

    Args:
        planted: (layer, neuron) the planted set.
        n_subsets: random subsets; at least two.
        seed: of the subsets.

    Returns:
        Grids to silence: for every subset first itself, then one for each planted neuron; and
        (subset, neuron) True where the subset silences the neuron.

    Raises:
        ValueError: fewer than two subsets, or nothing planted.
    """
    where = np.argwhere(planted)
    if n_subsets < 2 or not len(where):
        raise ValueError(f"{n_subsets} subsets of {len(where)} neurons: expected 2 and 1 at least")
    silenced = np.random.default_rng(seed).integers(2, size=(n_subsets, len(where))).astype(bool)
    flipped = np.eye(len(where) + 1, len(where), k=-1, dtype=bool)
    grids = np.zeros((n_subsets, len(where) + 1, *planted.shape), dtype=np.bool_)
    grids[..., planted] = silenced[:, None] ^ flipped
    return list(grids.reshape(-1, *planted.shape)), silenced


def effects_of(logprob: NDArray[np.float64], silenced: NDArray[np.bool_]) -> Effects:
    """Effects from the mean log-probabilities under the grids of `flips`, in their order.

    Args:
        logprob: (grid,) mean log-probability of the gold answers.
        silenced: from `flips`.
    """
    n_subsets, n = silenced.shape
    values = logprob.reshape(n_subsets, n + 1)
    change = values[:, 1:] - values[:, :1]
    # Flipping a silenced neuron lets it act; flipping an acting one silences it.
    effect = np.where(silenced, change, -change)
    return Effects(effect.mean(axis=0), effect.std(axis=0, ddof=1) / np.sqrt(n_subsets))
