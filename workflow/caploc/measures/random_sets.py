"""Random sets of neurons that a located set is compared with: as many, and as much alike as wanted.

All are drawn without replacement outside the located set.

    uniform   from all layers
    layer     the same number in each layer
    matched   the same number in each layer, each drawn among the neurons of its layer that are
              nearest in size to one located neuron

size(l, j) = mean abs(w(l, j)) * norm of column j of the output projection: how much neuron j writes
into the residual stream. A large neuron matters whatever it is for, so only the matched control
tells what a neuron is for from how large it is.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["NO_MATCH", "Control", "draw", "size_difference"]

Control = Literal["uniform", "layer", "matched"]
NO_MATCH = 0.25
"""Standardised differences above this are called no match."""
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
    found = np.zeros(located.shape, dtype=np.bool_)
    if control == "matched" and sizes is None:
        raise ValueError("a matched control needs the sizes of the neurons")
    grid = None if sizes is None else np.asarray(sizes, dtype=np.float64)
    for layer in np.flatnonzero(located.any(axis=1)):
        free, wanted = np.flatnonzero(~located[layer]), np.flatnonzero(located[layer])
        if control == "layer":
            found[layer, _chosen(rng, free, len(wanted))] = True
        else:
            assert grid is not None
            found[layer, _nearest(rng, grid[layer], free, wanted)] = True
    return found


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
