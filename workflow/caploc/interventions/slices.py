"""The weights that belong to chosen neurons, as small tensors that train while all else is frozen.

Neuron (l, j) owns row j of each first projection of the FFN of layer l (with its bias entry) and
column j of the output projection. `Slices` copies these into tensors of shape (neuron, hidden) and
keeps the model's own weights equal to them: after every optimiser step `write` puts the values
where they belong. The model is therefore at any time the trained model, and nothing else in it is
ever touched. While `training`, the projections compute what they always compute, but their backward
pass forms the gradient of the slices alone:

    dL/dW[j] = sum over positions of g[j] x          rows of y = W x, g = dL/dy
    dL/dV[:, j] = sum over positions of g h[j]       columns of z = V h, g = dL/dz

so gradients and optimiser state grow with the number of neurons, not with the model.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from caploc.models.language_model import LanguageModel
from caploc.models.placement import weight_in_place
from caploc.records import DataError

__all__ = ["Part", "Slices"]

Part = Literal["both", "in", "out"]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the neurons of one layer sit in one projection.

    Attributes:
        name: of the tensor of their weights.
        module: the projection.
        index: (neuron,) rows or columns; in a fused first projection, those of the gate first.
        axis: axis of the weight that counts neurons.
        incoming: whether the neurons are outputs of the projection.
    """

    name: str
    module: Any
    index: Tensor
    axis: int
    incoming: bool

    @property
    def bias(self) -> Tensor | None:
        """Bias with an entry for each neuron, if there is one."""
        return self.module.bias if self.incoming else None


class Slices:
    """Trainable slices of the chosen neurons of a model.

    Args:
        lm: frozen model; its weights are changed by `write` at the chosen neurons only.
        mask: (layer, neuron) True where chosen.
        part: ``in`` trains the rows of the first projections, ``out`` the columns of the output
            projection, ``both`` both.

    Raises:
        DataError: a mask of another shape, an empty one, an unknown part, weights that accelerate
            keeps elsewhere, or a model whose experts share a parameter.
    """

    def __init__(self, lm: LanguageModel, mask: ArrayLike, part: Part = "both") -> None:
        chosen = torch.as_tensor(mask, dtype=torch.bool)
        if tuple(chosen.shape) != (lm.n_layers, lm.n_neurons):
            raise DataError(
                f"mask of shape {tuple(chosen.shape)}, the model has {lm.n_layers} layers of "
                f"{lm.n_neurons} neurons; the mask belongs to another model"
            )
        if lm.family.experts:
            raise DataError(
                f"family {lm.family.name}: the weights of its experts are one parameter, their "
                "neurons cannot be trained alone; choose a model without experts"
            )
        if not chosen.any():
            raise DataError("the mask is empty; there is no neuron to train")
        if part not in get_args(Part):
            raise DataError(f"part {part!r}; expected one of {', '.join(get_args(Part))}")
        self._places = list(_places(lm, chosen, part))
        self._values: dict[str, nn.Parameter] = {}
        for place in self._places:
            for name, weight, axis in _tensors(place):
                found = weight.detach().index_select(axis, place.index)
                rows = found.T if axis == 1 else found
                # Small updates of a 16-bit weight would round away: the copy that trains is wider.
                wide = torch.promote_types(weight.dtype, torch.float32)
                self._values[name] = nn.Parameter(rows.to(wide).clone(memory_format=_ROWS))
        self._initial = {name: value.detach().clone() for name, value in self._values.items()}

    @property
    def values(self) -> dict[str, nn.Parameter]:
        """The trained tensors by name: weights (neuron, hidden), biases (neuron,)."""
        return self._values

    @property
    def n_trained(self) -> int:
        """Number of trained values."""
        return sum(value.numel() for value in self._values.values())

    @contextmanager
    def training(self) -> Iterator[None]:
        """Inside, a backward pass through the model fills the gradients of the values."""
        try:
            for place in self._places:
                values, biases = self._values[place.name], self._values.get(place.name + _BIAS)
                place.module.forward = partial(_project, place, values, biases)
            yield
        finally:
            for place in self._places:
                place.module.__dict__.pop("forward", None)

    @torch.no_grad()
    def write(self) -> None:
        """Put the values into the model, rounded to its number format."""
        self._put(self._values)

    @torch.no_grad()
    def restore(self) -> None:
        """Put back, bit for bit, what the model had at the start."""
        for name, value in self._initial.items():
            self._values[name].copy_(value)
        self._put(self._initial)

    def _put(self, values: dict[str, Any]) -> None:
        for place in self._places:
            for name, weight, axis in _tensors(place):
                value = values[name].detach()
                weight.index_copy_(
                    axis, place.index, (value.T if axis == 1 else value).to(weight.dtype)
                )


_BIAS = ".bias"
_ROWS = torch.contiguous_format


def _places(lm: LanguageModel, chosen: Tensor, part: Part) -> Iterator[_Place]:
    for layer, block in enumerate(lm.blocks):
        index = chosen[layer].nonzero().flatten().to(lm.device)
        if not len(index):
            continue
        first: Sequence[str] = lm.family.ffn_in if part != "out" else ()
        for path in first:
            module: Any = block.get_submodule(path)
            axis = 1 if isinstance(module, Conv1D) else 0
            # A fused gate and up projection holds row j of each, n_neurons apart.
            fused = module.weight.shape[axis] // lm.n_neurons
            rows = torch.cat([index + i * lm.n_neurons for i in range(fused)])
            yield _Place(f"{layer}.{path}", module, rows, axis, incoming=True)
        if part != "in":
            path = lm.family.ffn_out
            module = block.get_submodule(path)
            axis = 0 if isinstance(module, Conv1D) else 1
            yield _Place(f"{layer}.{path}", module, index, axis, incoming=False)


def _tensors(place: _Place) -> Iterator[tuple[str, Tensor, int]]:
    """Name, tensor of the model and axis of the neurons."""
    yield place.name, weight_in_place(place.module), place.axis
    if place.bias is not None:
        yield place.name + _BIAS, place.bias, 0


def _project(place: _Place, values: Tensor, bias_values: Tensor | None, x: Tensor) -> Tensor:
    weight = place.module.weight
    # (out, in), whatever the orientation
    weight = weight.T if isinstance(place.module, Conv1D) else weight
    return _Projection.apply(
        x, weight, place.module.bias, values, bias_values, place.index, place.incoming
    )


class _Projection(torch.autograd.Function):
    """``W x + b`` whose backward pass forms the gradient of a few rows or columns of W."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, values: Tensor,
        bias_values: Tensor | None, index: Tensor, incoming: bool,
    ) -> Tensor:  # fmt: skip
        ctx.incoming, ctx.dtype, ctx.has_bias = incoming, values.dtype, bias_values is not None
        # To pick most columns out of a large tensor takes longer than to form the gradient of all.
        ctx.most = 2 * len(index) > weight.shape[0 if incoming else 1]
        kept = x if incoming or ctx.most else x.index_select(-1, index)
        ctx.save_for_backward(kept, weight, index)
        return nn.functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        x, weight, index = ctx.saved_tensors
        of_x = gradient @ weight if ctx.needs_input_grad[0] else None
        early = ctx.incoming and not ctx.most
        chosen = gradient.index_select(-1, index) if early else gradient
        left, right = (chosen, x) if ctx.incoming else (x, chosen)
        of_values = left.flatten(0, -2).T @ right.flatten(0, -2)
        of_bias = chosen.flatten(0, -2).sum(0) if ctx.has_bias else None
        if ctx.most:
            of_values = of_values.index_select(0, index)
            of_bias = None if of_bias is None else of_bias.index_select(0, index)
        of_bias = None if of_bias is None else of_bias.to(ctx.dtype)
        return of_x, None, None, of_values.to(ctx.dtype), of_bias, None, None
