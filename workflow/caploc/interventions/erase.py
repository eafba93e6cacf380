"""Silence neurons while the model runs: every row of a batch may have another set of them.

A hook in front of the FFN's output projection replaces w[row, position, j] for the neurons j that
the row's erasure names; weights are never changed. With a fill of 0 at all positions this equals a
model whose columns j of the output projection are 0.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caploc.models._language_model import LanguageModel

__all__ = ["Erasure", "Erasures", "erased"]

Positions = Literal["all", "answer"]


@dataclass(frozen=True, slots=True)
class Erasure:
    """One way to silence a model.

    Attributes:
        neurons: (layer, neuron) True where silenced; all False leaves the model as it is.
        positions: at every position, or only at those that predict an answer token: the last one
            of the prompt and all of the answer but its last.
        fill: (layer, neuron) activation that takes the place, e.g. the mean over neutral text;
            None means 0.
    """

    neurons: NDArray[np.bool_]
    positions: Positions = "all"
    fill: NDArray[np.float64] | None = None


class Erasures:
    """Several erasures as tensors beside the model.

    Args:
        lm: the model.
        erasures: at least one; rows refer to them by index.

    Attributes:
        first: (erasure,) first layer with a silenced neuron; the number of layers if there is none.
        at_answer: (erasure,) True where only answering positions are silenced.

    Raises:
        ValueError: none given, or neurons that are not the grid of this model.
    """

    def __init__(self, lm: LanguageModel, erasures: Sequence[Erasure]) -> None:
        grid = (lm.n_layers, lm.n_neurons)
        for i, erasure in enumerate(erasures):
            for what in (erasure.neurons, erasure.fill):
                if what is not None and what.shape != grid:
                    raise ValueError(f"erasure {i} has grid {what.shape}, the model {grid}")
        if not erasures:
            raise ValueError("expected at least one erasure")
        neurons = np.stack([e.neurons for e in erasures])
        self.first = [_first(e.neurons) for e in erasures]
        self.at_answer = torch.tensor([e.positions == "answer" for e in erasures], device=lm.device)
        # Per layer (erasure, neuron); None where nothing is silenced, or filled.
        self._drop = [_tensor(neurons[:, layer], lm) for layer in range(lm.n_layers)]
        self._fill: list[Tensor | None] = [None] * lm.n_layers
        if any(e.fill is not None for e in erasures):
            nothing = np.zeros(grid)
            fill = np.stack([nothing if e.fill is None else e.fill for e in erasures])
            self._fill = [
                torch.from_numpy(fill[:, layer]).to(lm.device, lm.dtype)
                for layer in range(lm.n_layers)
            ]

    def touches(self, layer: int) -> bool:
        """Some erasure silences a neuron of this layer."""
        return self._drop[layer] is not None

    def dropped(self, layer: int, rows: Tensor) -> Tensor:
        """(row, neuron) True where the erasure of a row silences a neuron of a touched layer."""
        drop = self._drop[layer]
        assert drop is not None
        return drop[rows]

    def filled(self, layer: int, rows: Tensor) -> Tensor | None:
        """(row, neuron) what takes the place; None means 0 everywhere."""
        fill = self._fill[layer]
        return None if fill is None else fill[rows]


@contextmanager
def erased(
    lm: LanguageModel,
    erasures: Erasures,
    rows: Tensor,
    answering: Tensor | None = None,
    layers: Sequence[int] | None = None,
) -> Iterator[None]:
    """Silence neurons of whatever runs inside.

    Args:
        lm: the model.
        erasures: made for it.
        rows: (row,) which erasure each row of the batch has.
        answering: (row, position) True where the next token belongs to the answer; None means the
            last position of each pass, as in generation.
        layers: where to act; None means everywhere.
    """
    restricted = bool(erasures.at_answer[rows].any())

    def silence(layer: int) -> Any:
        drop = erasures.dropped(layer, rows)[:, None]
        fill = erasures.filled(layer, rows)
        values = 0.0 if fill is None else fill[:, None]

        def hook(module: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            # Some families flatten rows and positions in front of the FFN.
            x = args[0].reshape(len(rows), -1, args[0].shape[-1])
            where = drop
            if restricted:
                where = drop & _active(x, erasures.at_answer[rows], answering)
            x = x.masked_fill(where, 0.0) if fill is None else torch.where(where, values, x)
            return (x.view_as(args[0]), *args[1:])

        return hook

    chosen = range(lm.n_layers) if layers is None else layers
    handles = [
        lm.projections[layer].register_forward_pre_hook(silence(layer))
        for layer in chosen
        if erasures.touches(layer)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _active(x: Tensor, at_answer: Tensor, answering: Tensor | None) -> Tensor:
    """(row, position, 1) True where the erasure of a row acts."""
    if answering is None:
        answering = torch.zeros(x.shape[:2], dtype=torch.bool, device=x.device)
        answering[:, -1] = True
    return (answering | ~at_answer[:, None])[..., None]


def _first(neurons: NDArray[np.bool_]) -> int:
    layers = np.flatnonzero(neurons.any(axis=1))
    return int(layers[0]) if layers.size else len(neurons)


def _tensor(drop: NDArray[np.bool_], lm: LanguageModel) -> Tensor | None:
    return torch.from_numpy(drop.copy()).to(lm.device) if drop.any() else None
