"""Per-row routing of parameter gradients: which FFN weights learn from which token.

Values and the gradients of activations are those of the ordinary model. Of the weights of a neuron
(its rows of the gate and up projection, its column of the down projection) only the tokens that may
teach it count: for the others these weights are constants. Blocking the gradients of activations
too makes training diverge.

Source of the idea: gradient routing, arXiv 2410.04332; routing weights instead of activations is
ours.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["Routing", "routed"]


@dataclass(slots=True)
class Routing:
    """What the tokens of a pass teach and keep; each thread has its own.

    Attributes:
        owner: (layer, neuron) role of each neuron.
    """

    owner: Tensor
    _local: threading.local = field(default_factory=threading.local)
    _columns: Tensor = field(init=False)

    def __post_init__(self) -> None:
        """Roles as columns of 0 and 1: a small product is faster than picking by index."""
        n_roles = int(self.owner.max()) + 1
        self._columns = torch.nn.functional.one_hot(self.owner, n_roles).float().mT.contiguous()

    @contextmanager
    def tokens(self, learns: Tensor, keeps: Tensor) -> Iterator[None]:
        """Route whatever runs inside, in this thread.

        Args:
            learns: (row, token, role) True where the weights of the role learn from the token.
            keeps: (row, token, role) False where neurons of the role are silenced.
        """
        n_roles = self._columns.shape[1]
        # Roles behind the last one that owns a neuron change nothing.
        self._local.learns = learns[..., :n_roles].float()
        self._local.keeps = keeps[..., :n_roles].float()
        try:
            yield
        finally:
            del self._local.learns, self._local.keeps

    def learns(self, layer: int) -> Tensor:
        """(row, token, neuron) 1 where the weights of the neuron learn from the token, else 0."""
        return self._local.learns @ self._columns[layer]

    def keeps(self, layer: int) -> Tensor:
        """(row, token, neuron) 0 where the neuron is silenced, else 1."""
        return self._local.keeps @ self._columns[layer]


@contextmanager
def routed(model: Any, owner: Tensor) -> Iterator[Routing]:
    """Let the FFNs of a Llama model route gradients while the context is open.

    Args:
        model: ``LlamaForCausalLM``, on the processor.
        owner: (layer, neuron) role of each neuron.

    Yields:
        The routing, whose `tokens` must be open in every pass.
    """
    routing = Routing(owner.long())
    for layer, block in enumerate(model.model.layers):
        block.mlp.forward = _forward(routing, block.mlp, layer)
    try:
        yield routing
    finally:
        for block in model.model.layers:
            del block.mlp.forward


def _forward(routing: Routing, mlp: Any, layer: int) -> Any:
    def forward(x: Tensor) -> Tensor:
        learns = routing.learns(layer)
        gate = _RoutedLinear.apply(x, mlp.gate_proj.weight, learns, False)
        up = _RoutedLinear.apply(x, mlp.up_proj.weight, learns, False)
        kept = mlp.act_fn(gate) * up * routing.keeps(layer).to(up.dtype)
        return _RoutedLinear.apply(kept, mlp.down_proj.weight, learns, True)

    return forward


class _RoutedLinear(torch.autograd.Function):
    """x W^T whose weight gradient counts a neuron only for tokens that teach it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, learns: Tensor, is_output: bool) -> Tensor:
        ctx.kinds = (x.dtype, weight.dtype)
        # Autocast does not look inside a function of our own.
        if torch.is_autocast_enabled(x.device.type):
            kind = torch.get_autocast_dtype(x.device.type)
            x, weight = x.to(kind), weight.to(kind)
        ctx.save_for_backward(x, weight, learns)
        ctx.is_output = is_output
        return x @ weight.T

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, learns = ctx.saved_tensors
        kind_x, kind_weight = ctx.kinds
        of_x = (slope @ weight).to(kind_x)
        # The neuron is the input of the down projection, the output of the others.
        learns = learns.to(x.dtype)
        seen, told = (x * learns, slope) if ctx.is_output else (x, slope * learns)
        of_weight = told.flatten(0, -2).T @ seen.flatten(0, -2)
        return of_x, of_weight.to(kind_weight), None, None
