"""Random sets of units that a located set is compared with: as many, and as much alike as wanted.

All are drawn without replacement: `draw_in_blocks` and `draw_like` from all units, `draw_by_layer`
among those that are free, and `draw` outside the located set, where a control is one of

    uniform   from all layers
    layer     the same number in each layer
    matched   the same number in each layer, each drawn among the neurons of its layer that are
              nearest in size to one located neuron

size(l, j) = mean abs(w(l, j)) * norm of column j of the output projection: how much neuron j writes
into the residual stream. A large neuron matters whatever it is for, so only the matched control
tells what a neuron is for from how large it is.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Control",
    "draw",
    "draw_by_layer",
    "draw_in_blocks",
    "draw_like",
    "size_difference",
]

Control = Literal["uniform", "layer", "matched"]
_NEAREST = 8
"""A matched neuron is one of this many: fewer match better, more give more different sets."""


def draw(
    located: NDArray[np.bool_], control: Control, seed: int, sizes: ArrayLike | None = None
) -> NDArray[np.bool_]:
    """Draw one random set.

    Args:
        located: (layer, neuron) the set it stands beside.
        control: uniform, layer or matched.
        seed: of the draw; the same seed gives the same set.
        sizes: (layer, neuron) size of every neuron; needed for matched.

    Returns:
        (layer, neuron) as many neurons as `located` has, none of them located.

    Raises:
        ValueError: unknown control, no sizes, or too few neurons outside the located set.
    """
    rng = np.random.default_rng(seed)
    if control == "uniform":
        anywhere = np.zeros(located.size, dtype=np.bool_)
        anywhere[_chosen(rng, np.flatnonzero(~located), int(located.sum()))] = True
        return anywhere.reshape(located.shape)
    if control not in ("layer", "matched"):
        raise ValueError(f"control {control!r}; expected uniform, layer or matched")
    if control == "layer":
        return draw_by_layer(~located, located.sum(axis=1), rng)
    if sizes is None:
        raise ValueError("a matched control needs the sizes of the neurons")
    found, grid = np.zeros_like(located), np.asarray(sizes, dtype=np.float64)
    for layer in np.flatnonzero(located.any(axis=1)):
        free, wanted = np.flatnonzero(~located[layer]), np.flatnonzero(located[layer])
        found[layer, _nearest(rng, grid[layer], free, wanted)] = True
    return found


def draw_by_layer(
    free: NDArray[np.bool_], counts: Sequence[int] | NDArray[np.integer], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Draw so many neurons of each layer among those that are free.

    Args:
        free: (layer, neuron) True where a neuron may be drawn.
        counts: (layer,) how many are drawn.
        rng: of the draw.

    Returns:
        (layer, neuron) True where drawn.

    Raises:
        ValueError: a layer has too few free neurons.
    """
    found = np.zeros_like(free)
    for layer, n in enumerate(counts):
        found[layer, _chosen(rng, np.flatnonzero(free[layer]), int(n))] = True
    return found


def draw_in_blocks(
    sizes: Sequence[int], counts: Sequence[int] | NDArray[np.integer], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw so many units of each block of consecutive units, e.g. of each layer.

    Args:
        sizes: (block,) units in each.
        counts: (block,) how many are drawn, each at most its size.
        rng: of the draw.

    Returns:
        (unit,) indices among all units, ascending.
    """
    first, drawn = 0, [np.zeros(0, dtype=np.int64)]
    for size, n in zip(sizes, counts, strict=True):
        drawn.append(first + np.sort(rng.choice(size, int(n), replace=False)))
        first += size
    return np.concatenate(drawn)


def draw_like(
    located: NDArray[np.bool_], sizes: Sequence[int], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Draw as many units of each block of consecutive units as are located there.

    Args:
        located: (unit,) True where located.
        sizes: (block,) units in each; one block of all units draws uniformly.
        rng: of the draw.

    Returns:
        (unit,) True where drawn; located units may be among them.
    """
    drawn = np.zeros_like(located)
    counts = [part.sum() for part in np.split(located, np.cumsum(sizes)[:-1])]
    drawn[draw_in_blocks(sizes, counts, rng)] = True
    return drawn


def size_difference(located: ArrayLike, control: ArrayLike, sizes: ArrayLike) -> float | None:
    """How much larger the located neurons are than those of a control.

    Args:
        located: (layer, neuron) True where located.
        control: (layer, neuron) True where drawn.
        sizes: (layer, neuron) size of every neuron.

    Returns:
        Difference of the mean sizes, in standard deviations of the size over all neurons of the
        same layer (each neuron is standardised in its layer first); None if one set is empty.
    """
    grid = np.asarray(sizes, dtype=np.float64)
    spread = grid.std(axis=1, keepdims=True)
    z = (grid - grid.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    a, b = z[np.asarray(located, dtype=bool)], z[np.asarray(control, dtype=bool)]
    return float(a.mean() - b.mean()) if a.size and b.size else None


def _chosen(rng: np.random.Generator, free: NDArray[np.intp], wanted: int) -> NDArray[np.intp]:
    if len(free) < wanted:
        raise ValueError(f"{len(free)} neurons outside the located set, {wanted} needed")
    return rng.choice(free, size=wanted, replace=False)


def _nearest(
    rng: np.random.Generator,
    sizes: NDArray[np.float64],
    free: NDArray[np.intp],
    wanted: NDArray[np.intp],
) -> list[int]:
    """One free neuron for each wanted one; the largest first, since few are like them."""
    if len(free) < len(wanted):
        raise ValueError(f"{len(free)} neurons outside the located set, {len(wanted)} needed")
    left = list(free)
    taken = []
    for j in sorted(wanted, key=lambda j: -sizes[j]):
        order = np.argsort(np.abs(sizes[left] - sizes[j]), kind="stable")[:_NEAREST]
        taken.append(int(left.pop(int(rng.choice(order)))))
    return taken
