"""Coincidence rates: how many located units samples have in common, and what to compare it with.

Size normalisation: units that all sets of a group have in common, divided by their mean size,

    c(A_1, ..., A_m) = |A_1 and ... and A_m| / mean |A_i|        (1 for identical sets)

so that a two-way and an n-way number have the same scale, although the latter can only be smaller.
``LJ`` divides by the number of all units instead, as the paper prints it (equation 8).

The matched comparison is two-way throughout. A pair has the same or another main part and the same
or another task; every prompt comes in two forms, so that no prompt is compared with itself.

Source: Huang et al., Capability Localization, ICLR 2025, section 3.3; `P_s` is not defined there.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from caploc.measures.random_sets import draw_in_blocks
from caploc.measures.statistics import Estimate, percentile_interval

__all__ = [
    "CELLS", "EFFECTS", "NAMES", "bootstrap_effects", "chance_all", "chance_pairs",
    "coincidence", "common", "compact", "compared", "counts_by_layer", "curve", "draw_like",
    "effects", "matched", "two_way",
]  # fmt: skip

T = TypeVar("T")
Units = NDArray[np.int32]
Grid = NDArray[np.bool_]
Values = NDArray[np.float64]

CELLS = (
    "same main part, same task", "same main part, other task",
    "other main part, same task", "other main part, other task",
)  # fmt: skip
EFFECTS = ("main part", "task", "interaction")
NAMES = ("10", "11", "20", "21")
"""Prompts of a pair: part and form."""
_COLUMNS = 1 << 13
"""Columns multiplied at once."""


def compared(groups: Sequence[Sequence[T]]) -> list[Sequence[T]]:
    """Sets that a rate intersects: the k-th ones of two lists (C12), or all of one (C11, C22)."""
    return list(zip(*groups, strict=True)) if len(groups) == 2 else list(groups)


def common(sets: Sequence[Units]) -> Units:
    """Units that all of at least one set have."""
    return reduce(partial(np.intersect1d, assume_unique=True), sets)


def coincidence(sets: Sequence[Units]) -> float | None:
    """c(A_1, ..., A_m) of sets of unit indices; None if one is empty (or there is none)."""
    if not sets or any(len(units) == 0 for units in sets):
        return None
    return len(common(sets)) / float(np.mean([len(units) for units in sets]))


def curve(
    sets: Sequence[Units], sizes: Sequence[int], orders: int, seed: int
) -> dict[int, list[float]]:
    """C of the first m sets, for each m, in several random orders.

    Args:
        sets: none of them empty.
        sizes: numbers of sets, each 1 to len(sets).
        orders: number of random orders.
        seed: of the orders.

    Returns:
        {m: value in each order}; for m = len(sets) all values are equal.
    """
    rng = np.random.default_rng(seed)
    found = [[sets[i] for i in rng.permutation(len(sets))] for _ in range(orders)]
    return {m: [coincidence(ordered[:m]) or 0.0 for ordered in found] for m in sizes}


def counts_by_layer(sets: Sequence[Units], per_layer: Sequence[int]) -> NDArray[np.int64]:
    """(set, layer) units of each set, ascending indices, in each layer."""
    edges = np.concatenate([[0], np.cumsum(per_layer)])
    found = [np.diff(np.searchsorted(units, edges)) for units in sets]
    return np.array(found, dtype=np.int64).reshape(len(sets), -1)


def chance_pairs(
    first: NDArray[np.integer], second: NDArray[np.integer], per_layer: Sequence[int]
) -> Values:
    """Expected c of two random sets, for every pair of sets.

    Sets drawn independently with a_l and b_l units in a layer of J_l units have sum a_l b_l / J_l
    in common on average. Without layers, call with one layer of all units.

    Args:
        first: (set, layer) counts.
        second: (other set, layer) counts.
        per_layer: units in each layer.

    Returns:
        (set, other set).
    """
    shared = (first / np.asarray(per_layer, dtype=float)) @ second.T
    return shared * 2 / (first.sum(1)[:, None] + second.sum(1)[None])


def chance_all(counts: NDArray[np.integer], per_layer: Sequence[int]) -> float:
    """Expected c of all sets if each were drawn at random: sum_l J_l prod_k (a_kl / J_l)."""
    sizes = np.asarray(per_layer, dtype=float)
    shared = (sizes * np.prod(counts / sizes, axis=0)).sum()
    return float(shared / counts.sum(1).mean())


def draw_like(units: Units, sizes: Sequence[int], generator: np.random.Generator) -> Units:
    """A random set of as many units as `units` in each block of so many units; ascending."""
    counts = counts_by_layer([units], sizes)[0]
    return draw_in_blocks(sizes, counts, generator).astype(np.int32)


def compact(sets: Mapping[str, Sequence[Units]]) -> dict[str, Grid]:
    """Boolean (set, unit) grids over the units that any of the sets has."""
    used = np.unique(np.concatenate([np.concatenate(list(group)) for group in sets.values()]))
    return {
        name: np.array([np.isin(used, units, assume_unique=True) for units in group])
        for name, group in sets.items()
    }


def two_way(first: Grid, second: Grid) -> Values:
    """C of every set of one grid with every set of another: (set, other set)."""
    shared = np.zeros((len(first), len(second)))
    for start in range(0, first.shape[1], _COLUMNS):
        part = slice(start, start + _COLUMNS)
        shared += first[:, part].astype(np.float32) @ second[:, part].astype(np.float32).T
    return shared * 2 / (first.sum(1)[:, None] + second.sum(1)[None])


def matched(prompts: Mapping[str, T], rate: Callable[[T, T], Values]) -> Values:
    """Compare all prompts with those of the other form, and with those of the other task.

    Args:
        prompts: what `rate` compares, by `NAMES`.
        rate: (sample, other sample) numbers of two of them.

    Returns:
        (2, sample, other sample) numbers within a task (of the two forms, mean over both tasks) and
        across the tasks (mean over forms). On the diagonal the main part is the same, off it
        another one.
    """

    def mean(*pairs: tuple[str, str]) -> Values:
        found = np.mean([rate(prompts[a], prompts[b]) for a, b in pairs], axis=0)
        # Either sample may be the one that is asked in the first form.
        return (found + found.T) / 2

    across = [(a, b) for a in ("10", "11") for b in ("20", "21")]
    return np.stack([mean(("10", "11"), ("20", "21")), mean(*across)])


def effects(table: Values, weights: NDArray[np.integer] | None = None) -> dict[str, float]:
    """Cells of the matched comparison, and the effects of its two factors.

    Effect of the main part: mean of the two cells with the same main part minus that of the two
    with another one; of the task likewise; interaction: (same, same) - (same, other) -
    (other, same) + (other, other).

    Args:
        table: what `matched` gives, of at least two samples.
        weights: (sample,) how often each sample counts (a bootstrap draw); None means once. A
            sample drawn twice is never paired with itself as another main part.

    Raises:
        ValueError: no pair of different samples.
    """
    w = np.ones(table.shape[1]) if weights is None else np.asarray(weights, dtype=float)
    n_pairs = w.sum() ** 2 - (w**2).sum()
    if n_pairs <= 0:
        raise ValueError("two different samples are needed")
    same = [w @ np.diag(matrix) / w.sum() for matrix in table]
    other = [(w @ matrix @ w - w**2 @ np.diag(matrix)) / n_pairs for matrix in table]
    a, b, c, d = cells = [float(value) for value in (*same, *other)]
    main, task, interaction = (a + b - c - d) / 2, (a + c - b - d) / 2, a - b - c + d
    return dict(zip((*CELLS, *EFFECTS), (*cells, main, task, interaction), strict=True))


def bootstrap_effects(table: Values, *, seed: int, n_draws: int = 1_000) -> dict[str, Estimate]:
    """`effects` with 95 % percentile intervals, resampling samples (never pairs)."""
    rng = np.random.default_rng(seed)
    n = table.shape[1]
    weights = [np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(n_draws)]
    # One sample drawn n times has no other sample.
    draws = [effects(table, w) for w in weights if np.count_nonzero(w) > 1]
    return {
        name: Estimate(value, *percentile_interval([draw[name] for draw in draws]), n)
        for name, value in effects(table).items()
    }
