"""Which neurons of a planted model have which role: disjoint sets, drawn from a seed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc.experiments.known_answer.settings import Plant
from caploc.files import store
from caploc.files.tables import COUNT, LAYER, Schema, gathered, texts, write_part
from caploc.measures.random_sets import draw_by_layer
from caploc.records import DataError

__all__ = ["DECOYS", "Layout", "Role", "lay_out", "like", "read_layout", "write_layout"]

Grid = NDArray[np.bool_]
_SETS: Schema = {"layer": LAYER, "neuron": COUNT, **texts("kind", "capability")}
DECOYS = ("shared", "loud", "cancelling", "negative")
"""Neurons that a locator of one capability should not return.

    shared      learn from every task and are never silenced: needed by all, specific to none
    loud        activations of the loudest neurons times four, an output column of nearly nothing
    cancelling  pairs with equal activations and opposite columns: loud, together without effect
    negative    speak against a capability: activations of a planted neuron, a quarter of its
                column with the sign turned round
"""


@dataclass(frozen=True, slots=True, order=True)
class Role:
    """What a set of neurons is for.

    Attributes:
        kind: ``rest``, ``planted``, ``copy`` (the same capability once more) or one of `DECOYS`.
        capability: task id of planted sets, copies and negative contributors; else empty.
    """

    kind: str
    capability: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """Roles of all FFN neurons.

    Attributes:
        roles: the first is ``rest``.
        owner: (layer, neuron) index of the role of each neuron.
    """

    roles: tuple[Role, ...]
    owner: NDArray[np.int16]

    def of(self, *kinds: str, capability: str | None = None) -> Grid:
        """(layer, neuron) True for neurons of these kinds; of one capability if it is named."""
        chosen = [
            i
            for i, role in enumerate(self.roles)
            if role.kind in kinds and capability in (None, role.capability)
        ]
        return np.isin(self.owner, chosen)

    def carrying(self, capability: str) -> Grid:
        """(layer, neuron) True for all that carries a capability, a second copy included."""
        return self.of("planted", "copy", capability=capability)

    @property
    def capabilities(self) -> list[str]:
        """Task ids of the planted capabilities, in order."""
        return [role.capability for role in self.roles if role.kind == "planted"]


def lay_out(n_layers: int, n_neurons: int, plant: Plant, seed: int) -> Layout:
    """Draw the sets of a planted model.

    Args:
        n_layers: decoder blocks.
        n_neurons: FFN neurons of a layer.
        plant: what is planted; a capability gets one neuron of a layer at least.
        seed: of the draw.

    Raises:
        DataError: more neurons than a layer has, an unknown layer, or a copy of no capability.
    """
    layers = range(n_layers) if plant.layers is None else plant.layers
    wrong = [layer for layer in layers if not 0 <= layer < n_layers]
    if wrong:
        raise DataError(
            f"plant: layer {wrong[0]} is not there, expected 0 to {n_layers - 1}; correct `layers`"
        )
    unknown = sorted(set(plant.twice) - set(plant.capabilities))
    if unknown:
        raise DataError(
            f"plant: `twice` names {unknown[0]!r}, which is not planted; expected some of "
            f"{', '.join(plant.capabilities)}"
        )
    sizes = _sizes(n_neurons, plant)
    if sum(sizes.values()) > n_neurons:
        parts = ", ".join(f"{n} {r.kind} {r.capability}".rstrip() for r, n in sizes.items())
        raise DataError(
            f"plant: {sum(sizes.values())} neurons in a layer of {n_neurons} ({parts}); lower "
            "`share` or `decoys`, or plant fewer capabilities"
        )
    roles = (Role("rest"), *sizes)
    owner = np.zeros((n_layers, n_neurons), dtype=np.int16)
    rng = np.random.default_rng(seed)
    for layer in layers:
        free = rng.permutation(n_neurons)
        for i, role in enumerate(roles[1:], start=1):
            owner[layer, free[: sizes[role]]] = i
            free = free[sizes[role] :]
    return Layout(roles, owner)


def _sizes(n_neurons: int, plant: Plant) -> dict[Role, int]:
    """Neurons of each role in a layer."""
    n = max(1, round(plant.share * n_neurons))
    sizes = {Role("planted", name): n for name in plant.capabilities}
    sizes |= {Role("copy", name): n for name in plant.twice}
    if plant.decoys > 0:
        some = max(2, round(plant.decoys * n_neurons))
        sizes[Role("shared")] = sizes[Role("loud")] = some
        sizes[Role("cancelling")] = some - some % 2
        sizes |= {Role("negative", name): min(some, n) for name in plant.capabilities}
    return sizes


def like(layout: Layout, wanted: Grid, rng: np.random.Generator) -> Grid:
    """As many neurons of each layer as `wanted` has there, from those without a role.

    Args:
        layout: of the model.
        wanted: (layer, neuron) the set that is imitated.
        rng: of the draw.

    Raises:
        DataError: a layer has too few neurons without a role.
    """
    rest, counts = layout.of("rest"), wanted.sum(axis=1)
    free = rest.sum(axis=1)
    for layer in np.flatnonzero(counts > free):
        raise DataError(
            f"plant: layer {layer} has {free[layer]} neurons without a role, a random set needs "
            f"{counts[layer]}; lower `share`"
        )
    return draw_by_layer(rest, counts, rng)


def write_layout(path: Path, layout: Layout, origin: Mapping[str, Any]) -> None:
    """One row for each neuron that has a role: layer, neuron, kind, capability."""
    layers, neurons = np.nonzero(layout.owner)
    roles = [(role.kind, role.capability) for role in layout.roles]
    named = pl.DataFrame(roles, texts("kind", "capability"), orient="row")[
        layout.owner[layers, neurons]
    ]
    table = gathered([named.with_columns(layer=layers, neuron=neurons)], _SETS)
    shape = dict(zip(("n_layers", "n_neurons"), layout.owner.shape, strict=True))
    write_part(table, path, origin, **shape, roles=roles)


def read_layout(path: Path) -> Layout:
    """Read what `write_layout` wrote.

    Raises:
        DataError: a damaged file, or no file of planted sets.
    """
    metadata = store.read_metadata(path)
    table = store.read_table(path, list(_SETS))
    try:
        roles = tuple(Role(*pair) for pair in metadata["roles"])
        owner = np.zeros((metadata["n_layers"], metadata["n_neurons"]), dtype=np.int16)
    except KeyError as error:
        raise DataError(
            f"{path}: holds no planted sets (no {error}); delete it and run again"
        ) from None
    number = {role: i for i, role in enumerate(roles)}
    layers, neurons, *named = (column.to_pylist() for column in table.columns)
    owner[layers, neurons] = [number[Role(*pair)] for pair in zip(*named, strict=True)]
    return Layout(roles, owner)
