"""Neurons of one data set silenced, another one answered: source x target matrices and contrasts.

effect(s, t) = fall of the log-probability of t's answers when the neurons of s are silenced, minus
the mean fall of matched random sets on the same samples, in nat per answer token. The contrast is
the mean effect of pairs of the same type minus that of pairs of different types, without the
diagonal: do neurons of a data set matter for what asks for the same capability?
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial, prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caploc.measures.statistics import Estimate, percentile_interval, permutation_p

__all__ = ["Contrast", "contrast", "contrast_of", "label_partitions", "label_test"]

MOST_PARTITIONS = 100_000
"""More ways to deal the labels out than this are not enumerated."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """Same type against other type.

    Attributes:
        estimate: contrast with its bootstrap interval over test samples.
        p: of the null that the sets are random ones; None without draws.
        n_draws: random sets behind p.
    """

    estimate: Estimate
    p: float | None
    n_draws: int


def contrast_of(matrix: ArrayLike, types: Sequence[str]) -> float | None:
    """Contrast of a (source, target) matrix; NaN cells and the diagonal are left out.

    Args:
        matrix: (source, target) effects.
        types: type of each data set.

    Returns:
        Mean of the cells of the same type minus mean of the others; None if one kind has no cell.
    """
    grid = np.asarray(matrix, dtype=float)
    labels = np.asarray(types)
    used = ~np.eye(len(labels), dtype=bool) & ~np.isnan(grid)
    same = labels[:, None] == labels[None]
    if not (used & same).any() or not (used & ~same).any():
        return None
    return float(grid[used & same].mean() - grid[used & ~same].mean())


def contrast(
    falls: Mapping[tuple[int, int], NDArray[np.float64]],
    draws: Mapping[tuple[int, int], NDArray[np.float64]],
    types: Sequence[str],
    seed: int,
    n_bootstrap: int = 1_000,
) -> Contrast | None:
    """Contrast with an interval over test samples, and its null from the random sets.

    Args:
        falls: (source, target) -> (sample,) fall of the log-probability; the samples of a target
            are the same for every source. A pair without a set is absent.
        draws: (source, target) -> (draw, sample) falls of its random sets, at least two.
        types: type of each data set.
        seed: of the bootstrap.
        n_bootstrap: bootstrap samples.

    Returns:
        The contrast, or None where one kind of pair has no cell. For p, the r-th random set of
        every source takes the place of the located one and is compared with the others.
    """
    n = len(types)
    point = np.full((n, n), np.nan)
    for (s, t), fall in falls.items():
        point[s, t] = fall.mean() - draws[s, t].mean()
    value = contrast_of(point, types)
    if value is None:
        return None
    rng = np.random.default_rng(seed)
    effects = {key: fall - draws[key].mean(axis=0) for key, fall in falls.items()}
    resampled = np.full((n_bootstrap, n, n), np.nan)
    for t in sorted({t for _, t in falls}):
        size = next(len(e) for (_, other), e in effects.items() if other == t)
        # One choice of samples for all sources: the cells of a column are paired.
        chosen = rng.integers(size, size=(n_bootstrap, size))
        for (s, other), effect in effects.items():
            if other == t:
                resampled[:, s, t] = effect[chosen].mean(axis=1)
    ends = percentile_interval(np.array([contrast_of(m, types) for m in resampled], dtype=float))
    n_samples = sum(len(next(e for (_, o), e in effects.items() if o == t))
                    for t in {t for _, t in falls})  # fmt: skip
    estimate = Estimate(value, *ends, n_samples)
    n_draws = min(len(d) for d in draws.values())
    null: list[float] = []
    for r in range(n_draws if n_draws > 1 else 0):
        grid = np.full((n, n), np.nan)
        for key, found in draws.items():
            means = found.mean(axis=1)
            grid[key] = means[r] - np.delete(means, r).mean()
        drawn = contrast_of(grid, types)
        assert drawn is not None  # the same cells as the located sets
        null.append(drawn)
    p = permutation_p(value, null) if null else None
    return Contrast(estimate, p, len(null))


def label_test(matrix: ArrayLike, types: Sequence[str]) -> tuple[float, int] | None:
    """Exact permutation of the types over the data sets.

    Args:
        matrix: (source, target) effects; NaN where there is none.
        types: type of each data set.

    Returns:
        Share of all ways to deal the types out whose contrast is at least the one found, and the
        number of ways (the share is never below 1 over it); None if there is no contrast or there
        are more than `MOST_PARTITIONS` ways.
    """
    found = contrast_of(matrix, types)
    sizes = [list(types).count(kind) for kind in dict.fromkeys(types)]
    repeats = prod(factorial(sizes.count(size)) for size in set(sizes))
    ways = factorial(len(types)) // prod(map(factorial, sizes)) // repeats
    if found is None or ways > MOST_PARTITIONS:
        return None
    values = [contrast_of(matrix, labels) for labels in label_partitions(sizes)]
    # Rounding must not exclude the partition that was found.
    hits = sum(v is not None and v >= found - 1e-12 for v in values)
    return hits / len(values), len(values)


def label_partitions(sizes: Sequence[int]) -> Iterator[list[str]]:
    """Every way to split as many things as the sizes add up to into groups of these sizes.

    Yields:
        A label for each thing; groups of equal size are not told apart.
    """
    n = sum(sizes)

    def deal(left: list[int], rest: list[int], labels: list[str]) -> Iterator[list[str]]:
        if not left:
            yield list(labels)
            return
        # The first thing left decides which size its group has, so each partition comes once.
        for size in sorted(set(rest)):
            others = list(rest)
            others.remove(size)
            for more in combinations(left[1:], size - 1):
                group = (left[0], *more)
                for thing in group:
                    labels[thing] = str(len(rest))
                yield from deal([x for x in left if x not in group], others, labels)

    yield from deal(list(range(n)), sorted(sizes), [""] * n)
