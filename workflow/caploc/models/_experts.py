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
"""

from typing import Any

from torch import Tensor, nn

from caploc.records import DataError

__all__ = ["RoutedExperts", "restore_experts", "routed_experts"]


class _Projection(nn.Module):
    """(..., expert * unit) neurons to (..., width), as a linear map without bias."""

    def __init__(self, experts: nn.Module) -> None:
        super().__init__()
        # In a tuple, so that it is not a module of this one; a copy of the model gets its own.
        self._experts: tuple[Any] = (experts,)

    @property
    def _down(self) -> Tensor:
        """(expert, width, unit)."""
        return self._experts[0].down_proj

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
        stand_ins = (self.gate, self.projection)
        if not any(m._forward_hooks or m._forward_pre_hooks for m in stand_ins):
            original = self.before or type(experts).forward.__get__(experts)
            return original(hidden_states, top_k_index, top_k_weights)
        n_experts = len(experts.down_proj)
        shape = (len(hidden_states), n_experts, experts.down_proj.shape[2])
        gate, up = hidden_states.new_zeros(shape), hidden_states.new_zeros(shape)
        share = hidden_states.new_zeros(shape[:2])
        share = share.scatter(1, top_k_index, top_k_weights.to(share.dtype))
        for expert in top_k_index.unique().tolist():
            token = (top_k_index == expert).any(1).nonzero()[:, 0]
            both = nn.functional.linear(hidden_states[token], experts.gate_up_proj[expert])
            gate[token, expert], up[token, expert] = both.chunk(2, dim=-1)
        gate = self.gate(gate.flatten(1)).view(shape)
        neurons = experts.act_fn(gate) * up * share[..., None]
        return self.projection(neurons.flatten(1))


def routed_experts(experts: Any) -> RoutedExperts:
    """The neurons of a module of experts; puts them in place at the first call.

    Raises:
        DataError: accelerate keeps the weights elsewhere.
    """
    present = experts.__dict__.get("forward")
    if not isinstance(present, RoutedExperts):
        if experts.down_proj.device.type == "meta":
            raise DataError(
                f"{type(experts).__name__}: accelerate keeps its weights on disk or in main "
                "memory, and experts are read where they are; load the model whole"
            )
        present = experts.forward = RoutedExperts(experts)
    return present


def restore_experts(experts: Any) -> None:
    """Undo `routed_experts`."""
    present = experts.__dict__.get("forward")
    if isinstance(present, RoutedExperts):
        del experts.forward
        if present.before is not None:
            experts.forward = present.before
