"""Silence neurons and attention heads of a running model; rows of a batch may differ in which.

A hook in front of the FFN's output projection replaces w[row, position, j] for the neurons j that
the row's erasure names; weights are never changed. With a fill of 0 at all positions this equals a
model whose columns j of the output projection are 0. A head is silenced in the same way, by its
part of the input of the output projection of attention, and always at all positions.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caploc.forward.hooks import inputs_passed, neurons_passed
from caploc.models.language_model import LanguageModel

__all__ = ["Erasure", "Erasures", "erased"]

Positions = Literal["all", "answer"]
_HEADS = "silencing of heads"


@dataclass(frozen=True, slots=True)
class Erasure:
    """One way to silence a model.

    Attributes:
        neurons: (layer, neuron) True where silenced; all False leaves the model as it is.
        positions: at every position, or only at those that predict an answer token: the last one
            of the prompt and all of the answer but its last.
        fill: (layer, neuron) activation that takes the place, e.g. the mean over neutral text;
            None means 0.
        heads: (layer, head) True where silenced; None means nowhere.
    """

    neurons: NDArray[np.bool_]
    positions: Positions = "all"
    fill: NDArray[np.float64] | None = None
    heads: NDArray[np.bool_] | None = None


class Erasures:
    """Several erasures as tensors beside the model.

    Args:
        lm: the model.
        erasures: at least one; rows refer to them by index.

    Attributes:
        first: (erasure,) first layer with anything silenced; the number of layers if there is none.
        with_heads: (erasure,) True where a head is silenced.
        at_answer: (erasure,) True where only answering positions are silenced.
        neurons: by layer (erasure, neuron) True where silenced; without layers where none is.
        heads: by layer (erasure, head), likewise.
        fill: by layer (erasure, neuron) what takes the place, for the layers of `neurons`; empty
            where that is 0 for all erasures.

    Raises:
        ValueError: none given, neurons or heads that are not the grid of this model, or heads that
            are to be silenced at answering positions only.
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
        heads = _heads(lm, erasures)
        self.first = [_first(n, h) for n, h in zip(neurons, heads, strict=True)]
        self.with_heads: list[bool] = [bool(h.any()) for h in heads]
        self.at_answer = torch.tensor([e.positions == "answer" for e in erasures], device=lm.device)
        self.neurons = _by_layer(neurons, lm.device)
        self.heads = _by_layer(heads, lm.device)
        self.fill: dict[int, Tensor] = {}
        if any(e.fill is not None for e in erasures):
            nothing = np.zeros(grid)
            fill = np.stack([nothing if e.fill is None else e.fill for e in erasures])
            self.fill = {
                layer: torch.from_numpy(fill[:, layer]).to(lm.device, lm.dtype)
                for layer in self.neurons
            }


@contextmanager
def erased(
    lm: LanguageModel,
    erasures: Erasures,
    rows: Tensor,
    answering: Tensor | None = None,
    layers: Sequence[int] | None = None,
) -> Iterator[None]:
    """Silence neurons and heads of whatever runs inside.

    Args:
        lm: the model.
        erasures: made for it.
        rows: (row,) which erasure each row of the batch has.
        answering: (row, position) True where the next token belongs to the answer; None means the
            last position of each pass, as in generation.
        layers: where to act; None means everywhere.
    """
    restricted = bool(erasures.at_answer[rows].any())

    chosen = range(lm.n_layers) if layers is None else layers
    neurons = {
        layer: erasures.neurons[layer][rows] for layer in chosen if layer in erasures.neurons
    }
    fill = {layer: erasures.fill[layer][rows][:, None] for layer in neurons if erasures.fill}
    heads = {layer: erasures.heads[layer][rows] for layer in chosen if layer in erasures.heads}

    def silence(layer: int, x: Tensor) -> Tensor:
        where = neurons[layer][:, None]
        if restricted:
            where = where & _active(x, erasures.at_answer[rows], answering)
        return torch.where(where, fill[layer], x) if fill else x.masked_fill(where, 0.0)

    def silence_heads(layer: int, x: Tensor) -> Tensor:
        where = heads[layer].repeat_interleave(x.shape[-1] // heads[layer].shape[1], 1)
        return x.masked_fill(where[:, None], 0.0)

    attention_out = lm.parts("attention_out", _HEADS) if erasures.heads else []
    with (
        neurons_passed(lm, len(rows), silence, neurons),
        inputs_passed({i: attention_out[i] for i in heads}, len(rows), silence_heads),
    ):
        yield


def _active(x: Tensor, at_answer: Tensor, answering: Tensor | None) -> Tensor:
    """(row, position, 1) True where the erasure of a row acts."""
    if answering is None:
        answering = torch.zeros(x.shape[:2], dtype=torch.bool, device=x.device)
        answering[:, -1] = True
    return (answering | ~at_answer[:, None])[..., None]


def _heads(lm: LanguageModel, erasures: Sequence[Erasure]) -> NDArray[np.bool_]:
    """(erasure, layer, head) True where silenced."""
    grid = (lm.n_layers, int(lm.config.num_attention_heads))
    for i, erasure in enumerate(erasures):
        if erasure.heads is None:
            continue
        if erasure.heads.shape != grid:
            raise ValueError(f"erasure {i} has heads {erasure.heads.shape}, the model {grid}")
        if erasure.positions != "all" and erasure.heads.any():
            raise ValueError(f"erasure {i} silences heads, which is done at all positions")
    nothing = np.zeros(grid, dtype=np.bool_)
    return np.stack([nothing if e.heads is None else e.heads for e in erasures])


def _first(neurons: NDArray[np.bool_], heads: NDArray[np.bool_]) -> int:
    layers = np.flatnonzero(neurons.any(axis=1) | heads.any(axis=1))
    return int(layers[0]) if layers.size else len(neurons)


def _by_layer(silenced: NDArray[np.bool_], device: torch.device) -> dict[int, Tensor]:
    """(erasure, unit) of each layer in which any of (erasure, layer, unit) is True."""
    layers = np.flatnonzero(silenced.any(axis=(0, 2))).tolist()
    return {layer: torch.from_numpy(silenced[:, layer].copy()).to(device) for layer in layers}
