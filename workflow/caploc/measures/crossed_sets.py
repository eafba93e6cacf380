"""Which sets of neurons are compared across data sets.

    own             the located set of each data set
    equal           of each, as many as the smallest has: those with the largest |z|
    own-distinct    own without the neurons that every data set located
    equal-distinct  as equal, of those

Equal sets tell what the neurons do from how many they are; distinct ones leave out what may be
large for any text.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["KINDS", "common", "crossed_name", "crossed_sets"]

KINDS = ("own", "equal", "own-distinct", "equal-distinct")


def crossed_name(mask: str, kind: str) -> str:
    """Name, in the place of a mask id, of its sets of a kind."""
    return mask if kind == "own" else f"{mask}.{kind}"


def common(located: Mapping[str, NDArray[np.float64]]) -> NDArray[np.bool_]:
    """Neurons in every set that is not empty.

    Args:
        located: data set -> (layer, neuron) |z| where located, 0 elsewhere.

    Returns:
        (layer, neuron); all False where fewer than two data sets located anything, since then
        there is nothing to share.
    """
    sets = [z > 0 for z in located.values() if (z > 0).any()]
    if len(sets) < 2:
        return np.zeros_like(next(iter(located.values())), dtype=np.bool_)
    return np.logical_and.reduce(sets)


def crossed_sets(
    located: Mapping[str, NDArray[np.float64]],
) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """All sets of neurons by kind and data set.

    Args:
        located: data set -> (layer, neuron) |z| where located, 0 elsewhere; at least one.

    Returns:
        kind -> data set -> (layer, neuron). The distinct kinds are there only where the data sets
        have a neuron in common. A data set without a neuron has an empty set, and does not count
        when the smallest is looked for.
    """
    found = _both(located, "")
    shared = common(located)
    if shared.any():
        found |= _both({name: np.where(shared, 0.0, z) for name, z in located.items()}, "-distinct")
    return found


def _both(
    located: Mapping[str, NDArray[np.float64]], ending: str
) -> dict[str, dict[str, NDArray[np.bool_]]]:
    own = {name: z > 0 for name, z in located.items()}
    size = min((int(m.sum()) for m in own.values() if m.any()), default=0)
    equal = {name: _largest(z, min(size, int(own[name].sum()))) for name, z in located.items()}
    return {f"own{ending}": own, f"equal{ending}": equal}


def _largest(z: NDArray[np.float64], n: int) -> NDArray[np.bool_]:
    found = np.zeros(z.size, dtype=np.bool_)
    found[np.argsort(-z.reshape(-1), kind="stable")[:n]] = True
    return found.reshape(z.shape)
