"""From scores to knowledge neurons: the rule for one prompt, and what several prompts agree on.

Numbers alone, so that stages that only compare sets load no model library.

Source: Dai et al., Knowledge Neurons in Pretrained Transformers, ACL 2022, section 3.3, and the
published code.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST_PROMPTS", "Refined", "refine", "select"]

Grid = NDArray[np.bool_]

FEWEST, MOST = 2, 5
"""Mean number of neurons a fact should be left with after refinement."""
_STEP, _ROUNDS = 0.05, 6
LEAST_PROMPTS = 3
"""Prompts of a fact that refinement needs."""


def select(scores: NDArray[np.floating], ratio: float = 0.2) -> Grid:
    """Neurons of one prompt with at least `ratio` times its largest score.

    Args:
        scores: (layer, neuron) contributions, or activations.
        ratio: more than 0, at most 1.

    Returns:
        (layer, neuron) True where located; nothing at all when no score is positive, because a
        share of a negative maximum would select neurons that speak against the answer.

    Raises:
        ValueError: `ratio` is out of range, or a score is not finite.
    """
    if not 0 < ratio <= 1:
        raise ValueError(f"ratio is {ratio}; expected more than 0 and at most 1")
    if not np.isfinite(scores).all():
        raise ValueError("a score is not a finite number")
    largest = scores.max()
    if largest <= 0:
        return np.zeros(scores.shape, dtype=np.bool_)
    return scores >= ratio * largest


@dataclass(frozen=True, slots=True)
class Refined:
    """Neurons that the prompts of each fact agree on.

    Attributes:
        located: per fact (layer, neuron) True where located; None for a fact with too few prompts.
        share: share of the prompts that a neuron had to be located by, after adaptation.
        mean_count: mean number of neurons a fact.
    """

    located: list[Grid | None]
    share: float
    mean_count: float


def refine(prompt_sets: Sequence[Sequence[Grid]], share: float = 0.7) -> Refined:
    """Keep the neurons that enough prompts of a fact locate.

    The share is the same for all facts. While the mean number of neurons a fact lies outside 2 to
    5, it moves by 0.05 towards that, at most six times.

    Args:
        prompt_sets: per fact the located set of each of its prompts, from `select`.
        share: share of the prompts to begin with; more than 0, at most 1.

    Raises:
        ValueError: `share` is out of range.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}; expected more than 0 and at most 1")
    usable = [len(sets) >= LEAST_PROMPTS for sets in prompt_sets]
    counts = [
        np.sum(sets, axis=0, dtype=np.int64) if ok else None
        for sets, ok in zip(prompt_sets, usable, strict=True)
    ]

    def kept(part: float) -> list[Grid | None]:
        # Rounding must not ask for a third of three prompts and get none.
        least = [max(1.0, part * len(sets) - 1e-9) for sets in prompt_sets]
        return [
            None if n is None else np.asarray(n >= low)
            for n, low in zip(counts, least, strict=True)
        ]

    def mean(found: list[Grid | None]) -> float:
        sizes = [int(np.count_nonzero(grid)) for grid in found if grid is not None]
        return float(np.mean(sizes)) if sizes else 0.0

    found = kept(share)
    for _ in range(_ROUNDS if any(usable) else 0):
        if FEWEST <= mean(found) <= MOST:
            break
        share = share - _STEP if mean(found) < FEWEST else share + _STEP
        found = kept(share)
    return Refined(found, share, mean(found))
