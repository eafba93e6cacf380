"""Neurons of a mixture of experts whose weights are one parameter for all experts.

transformers keeps the experts of a layer in two parameters and has no module whose input is a
neuron vector. Here are two modules that take that place: ``gate``, whose output are the numbers in
front of the nonlinearity, and ``projection``, whose input are the neurons. Neuron e * I + i is
unit i of expert e (I units each); only the experts that the router chose for a token have neurons
that are not 0.

Behind the nonlinearity an activation is multiplied by the weight that the router gave its expert,
which the FFN's own neurons cannot change. It is counted to the neuron, so that what the neurons
write is one matrix times the neuron vector. Scores, silencing and scaling are the same as if the
weight were applied later.

Neurons are those of the routed experts; an expert that every token has beside them (shared) is left
as it is. A layer with a plain FFN among layers of experts (the first ones, in many models) has as
many neurons as they: its own come first, the others do not exist and are 0.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn

from caploc.records import DataError

__all__ = ["DenseFFN", "RoutedExperts", "experts_in_place", "ffn_of", "n_units", "restore_experts"]


class _Projection(nn.Module):
    """(..., expert * unit) neurons to (..., width), as a linear map without bias."""

    def __init__(self, experts: nn.Module) -> None:
        super().__init__()
        # In a tuple, so that it is not a module of this one; a copy of the model gets its own.
        self._experts: tuple[Any] = (experts,)

    @property
    def _down(self) -> Tensor:
        """(expert, width, unit)."""
        experts = self._experts[0]
        return experts.down_proj.mT if _transposed(experts) else experts.down_proj

    @property
    def weight(self) -> Tensor:
        """(width, expert * unit), a copy."""
        return self._down.transpose(0, 1).flatten(1)

    @property
    def in_features(self) -> int:
        n_experts, _, n_units = self._down.shape
        return n_experts * n_units

    def forward(self, neurons: Tensor) -> Tensor:
        down = self._down
        by_expert = neurons.unflatten(-1, (len(down), -1))
        active = by_expert.detach().flatten(0, -3).ne(0).any(-1).any(0)
        written = neurons.new_zeros(*neurons.shape[:-1], down.shape[1])
        for expert in active.nonzero()[:, 0].tolist():
            written = written + by_expert[..., expert, :] @ down[expert].T
        return written


class RoutedExperts:
    """Takes the place of ``forward`` of the experts of one layer.

    As long as nobody looks at the neurons the original code runs, so the model is the same bit for
    bit.

    Attributes:
        gate: module that returns (token, expert * unit) in front of the nonlinearity.
        projection: module that takes (token, expert * unit) neurons.
    """

    def __init__(self, experts: nn.Module) -> None:
        self._experts: Any = experts
        self.before = experts.__dict__.get("forward")
        self.gate = nn.Identity()
        self.projection = _Projection(experts)

    def __call__(self, hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor) -> Tensor:
        """(token, width) for (token, width); chosen experts (token, k) and their weights."""
        experts = self._experts
        if not _watched(self):
            original = self.before or type(experts).forward.__get__(experts)
            return original(hidden_states, top_k_index, top_k_weights)
        shape = (len(hidden_states), len(experts.down_proj), n_units(experts))
        gate, up = hidden_states.new_zeros(shape), hidden_states.new_zeros(shape)
        share = hidden_states.new_zeros(shape[:2])
        share = share.scatter(1, top_k_index, top_k_weights.to(share.dtype))
        for expert in top_k_index.unique().tolist():
            token = (top_k_index == expert).any(1).nonzero()[:, 0]
            gate[token, expert], up[token, expert] = _gate_and_up(
                experts, expert, hidden_states[token]
            )
        gate = self.gate(gate.flatten(1)).view(shape)
        neurons = _activated(experts, gate, up) * share[..., None]
        written = self.projection(neurons.flatten(1))
        return written + share @ experts.down_proj_bias if _biased(experts) else written


def _transposed(experts: Any) -> bool:
    """Are its weights (expert, input, output)?"""
    return bool(getattr(experts, "is_transposed", False))


def _biased(experts: Any) -> bool:
    return bool(getattr(experts, "has_bias", False))


def n_units(experts: Any) -> int:
    """Units of one expert."""
    return int(experts.down_proj.shape[1 if _transposed(experts) else 2])


def _gate_and_up(experts: Any, expert: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """(token, unit) in front of the nonlinearity, and what it is multiplied by."""
    weight = experts.gate_up_proj[expert]
    bias = experts.gate_up_proj_bias[expert] if _biased(experts) else None
    both = nn.functional.linear(x, weight.T if _transposed(experts) else weight, bias)
    if getattr(experts, "is_concatenated", True):
        gate, up = both.chunk(2, dim=-1)
        return gate, up
    return both[..., ::2], both[..., 1::2]


def _activated(experts: Any, gate: Tensor, up: Tensor) -> Tensor:
    """Neurons, before the weight of the router."""
    own = getattr(type(experts), "_apply_gate", None)
    if own is None or own.__module__ == "transformers.integrations.moe":
        return cast(Tensor, experts.act_fn(gate) * up)
    if getattr(experts, "is_concatenated", True):
        return cast(Tensor, experts._apply_gate(torch.cat([gate, up], dim=-1)))
    return cast(Tensor, experts._apply_gate(torch.stack([gate, up], dim=-1).flatten(-2)))


class _Widened(nn.Module):
    """A linear map with inputs that it does not have: what comes there is ignored."""

    def __init__(self, inner: nn.Linear, in_features: int) -> None:
        super().__init__()
        self._inner = (inner,)  # as in `_Projection`
        self.in_features = in_features

    @property
    def weight(self) -> Tensor:
        """(width, neuron), a copy with columns of 0."""
        inner = self._inner[0]
        return nn.functional.pad(inner.weight, (0, self.in_features - inner.in_features))

    @property
    def bias(self) -> Tensor | None:
        return self._inner[0].bias

    def forward(self, neurons: Tensor) -> Tensor:
        inner = self._inner[0]
        return cast(Tensor, inner(neurons[..., : inner.in_features]))


class DenseFFN:
    """Takes the place of ``forward`` of a plain gated FFN in a model of experts.

    Attributes:
        gate: module that returns (..., neuron) in front of the nonlinearity.
        projection: module that takes (..., neuron) neurons.
    """

    def __init__(self, ffn: nn.Module, n_neurons: int) -> None:
        self._ffn: Any = ffn
        self.before = ffn.__dict__.get("forward")
        self.gate = nn.Identity()
        self.projection = _Widened(cast(nn.Linear, ffn.down_proj), n_neurons)

    def __call__(self, x: Tensor) -> Tensor:
        """(..., width) for (..., width)."""
        ffn = self._ffn
        if not _watched(self):
            original = self.before or type(ffn).forward.__get__(ffn)
            return cast(Tensor, original(x))
        absent = self.projection.in_features - ffn.down_proj.in_features
        gate = self.gate(nn.functional.pad(ffn.gate_proj(x), (0, absent)))
        neurons = ffn.act_fn(gate[..., : gate.shape[-1] - absent]) * ffn.up_proj(x)
        return cast(Tensor, self.projection(nn.functional.pad(neurons, (0, absent))))


def _watched(ffn: RoutedExperts | DenseFFN) -> bool:
    return any(m._forward_hooks or m._forward_pre_hooks for m in (ffn.gate, ffn.projection))


def ffn_of(block: nn.Module, path: str) -> Any:
    """The module of experts at a path of a block, or the plain FFN in its place."""
    parent, _, name = path.rpartition(".")
    ffn = block.get_submodule(parent)
    return getattr(ffn, name, ffn)


def experts_in_place(ffn: Any, n_neurons: int) -> RoutedExperts | DenseFFN:
    """The neurons of what `ffn_of` gives; puts them in place at the first call.

    Raises:
        DataError: accelerate keeps the weights elsewhere.
    """
    present = ffn.__dict__.get("forward")
    if not isinstance(present, RoutedExperts | DenseFFN):
        if next(ffn.parameters()).device.type == "meta":
            raise DataError(
                f"{type(ffn).__name__}: accelerate keeps its weights on disk or in main "
                "memory, and experts are read where they are; load the model whole"
            )
        experts = isinstance(getattr(ffn, "down_proj", None), Tensor)
        present = ffn.forward = RoutedExperts(ffn) if experts else DenseFFN(ffn, n_neurons)
    return present


def restore_experts(ffn: Any) -> None:
    """Undo `experts_in_place`."""
    present = ffn.__dict__.get("forward")
    if isinstance(present, RoutedExperts | DenseFFN):
        del ffn.forward
        if present.before is not None:
            ffn.forward = present.before
