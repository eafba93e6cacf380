"""How well a ranking of neurons finds the true ones. Ties share what their order would decide."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "average_precision",
    "precision_recall",
    "roc_area",
    "share_among_first",
    "strength",
    "top",
]


def strength(scores: ArrayLike, ranked: str, per_layer: bool = False) -> NDArray[np.float64]:
    """What neurons are ranked by: the larger, the earlier.

    Args:
        scores: (layer, neuron) scores.
        ranked: ``value``, the score; ``distance``, how far it is from the mean; ``positive``, how
            far above the mean.
        per_layer: subtract the mean of its layer and divide by its standard deviation first, in
            place of the mean of all layers; a constant layer gives 0.

    Raises:
        ValueError: an unknown ranking, or a score that is not finite.
    """
    grid = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(grid).all():
        raise ValueError("a score is not finite")
    if per_layer:
        spread = grid.std(axis=1, keepdims=True)
        grid = (grid - grid.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    if ranked == "value":
        return grid
    if ranked == "distance":
        return np.abs(grid - grid.mean())
    if ranked == "positive":
        return grid - grid.mean()
    raise ValueError(f"ranking {ranked!r}; expected value, distance or positive")


def average_precision(strengths: ArrayLike, truth: ArrayLike) -> float:
    """Mean precision at the places of the true neurons.

    Args:
        strengths: (...,) what is ranked by, descending; equal ones enter together.
        truth: the same shape, True for neurons that should come first; at least one.

    Returns:
        sum over distinct strengths of precision times the recall gained there, 0 to 1; the share of
        true neurons is what a constant gives.

    Raises:
        ValueError: no true neuron, or shapes that differ.
    """
    x, y = _flat(strengths, truth)
    order = np.argsort(-x, kind="stable")
    last = np.flatnonzero(np.append(np.diff(x[order]) != 0, True))
    hits = np.cumsum(y[order])[last]
    gained = np.diff(hits, prepend=0) / y.sum()
    return float((gained * hits / (last + 1)).sum())


def roc_area(strengths: ArrayLike, truth: ArrayLike) -> float:
    """Probability that a true neuron ranks above another one; ties count half.

    Args:
        strengths: as `average_precision`.
        truth: likewise; at least one neuron must be false.

    Raises:
        ValueError: no true or no false neuron, or shapes that differ.
    """
    x, y = _flat(strengths, truth)
    if y.all():
        raise ValueError("every neuron is true; expected some others to compare with")
    values, index, counts = np.unique(x, return_inverse=True, return_counts=True)
    del values
    rank = (np.cumsum(counts) - (counts - 1) / 2)[index]
    n, m = int(y.sum()), int((~y).sum())
    return float((rank[y].sum() - n * (n + 1) / 2) / (n * m))


def top(strengths: ArrayLike, n: int, seed: int = 0) -> NDArray[np.bool_]:
    """True for the n strongest neurons; among equal ones at the edge the seed decides."""
    x = np.asarray(strengths, dtype=np.float64)
    chance = np.random.default_rng(seed).random(x.size)
    order = np.lexsort((chance, -x.ravel()))
    found = np.zeros(x.size, dtype=np.bool_)
    found[order[:n]] = True
    return found.reshape(x.shape)


def precision_recall(found: ArrayLike, truth: ArrayLike) -> tuple[float | None, float | None]:
    """Share of the found that is true (None: nothing found), share of the true that is found."""
    mask, y = np.asarray(found, dtype=bool), np.asarray(truth, dtype=bool)
    hits = int((mask & y).sum())
    return (
        hits / int(mask.sum()) if mask.any() else None,
        hits / int(y.sum()) if y.any() else None,
    )


def share_among_first(strengths: ArrayLike, which: ArrayLike, n: int, seed: int = 0) -> float:
    """Share of the n strongest neurons that belong to a set, e.g. of decoys."""
    return float((top(strengths, n, seed) & np.asarray(which, dtype=bool)).sum() / n)


def _flat(strengths: ArrayLike, truth: ArrayLike) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    x, y = np.asarray(strengths, dtype=np.float64), np.asarray(truth, dtype=bool)
    if x.shape != y.shape:
        raise ValueError(f"strengths {x.shape} and truth {y.shape} differ in shape")
    if not y.any():
        raise ValueError("no neuron is true; expected at least one to find")
    return x.ravel(), y.ravel()
