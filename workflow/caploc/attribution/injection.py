"""Where the neurons of a layer are, and how a row with changed neurons is made.

Two sites: ``post`` is the input of the FFN's output projection, ``pre`` the output of its first
(gate) projection, in front of the nonlinearity.

*Linear* injection needs no run of the block: where it adds the output of the projection to the
residual as it is, its output with the neurons w scaled by c is hidden + (c - 1) * written.
*Generic* injection runs the block on its recorded input and replaces the neurons on the way; it
serves site ``pre`` and blocks with a norm or a scale behind the projection. `model_check` chooses.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from caploc.models.language_model import LanguageModel
from caploc.models.placement import held_weight

__all__ = ["SITES", "hook_neurons", "pull_back", "written_by"]

SITES = ("post", "pre")


def hook_neurons(
    lm: LanguageModel, layer: int, site: str, change: Callable[[Tensor], Tensor | None]
) -> Any:
    """Look at the neurons of a layer whenever its block runs, or replace them.

    Args:
        lm: the model.
        layer: zero-based layer.
        site: ``post`` or ``pre``.
        change: gets the neurons (..., neuron) and returns others of that shape, or None.

    Returns:
        A handle with ``remove()``.
    """
    if site == "post":

        def before(module: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
            new = change(args[0])
            return None if new is None else (new, *args[1:])

        return lm.projections[layer].register_forward_pre_hook(before)

    def after(module: Any, args: Any, output: Tensor) -> Tensor | None:
        # A projection that is fused with another one has the outputs of the gate in front.
        new = change(output[..., : lm.n_neurons])
        if new is None:
            return None
        return torch.cat([new, output[..., lm.n_neurons :]], dim=-1)

    return lm.gates[layer].register_forward_hook(after)


def written_by(projection: nn.Module, neurons: Tensor) -> Tensor:
    """What neurons (..., neuron) add to the residual: the projection without its bias."""
    written = projection(neurons) - projection(torch.zeros_like(neurons[..., :1, :]))
    return written.to(neurons.device)


def pull_back(projection: nn.Module, neurons: Tensor, slope: Tensor) -> Tensor:
    """Gradient at the input of a linear map.

    Args:
        projection: the map.
        neurons: (..., neuron) its input; only the shape matters.
        slope: (..., width) gradient at its output, in the dtype of the weights or a wider one.

    Returns:
        (..., neuron) in the dtype of `slope`: a probability of 1e-8 would vanish in float16.
    """
    if isinstance(projection, nn.Linear):
        weight = held_weight(projection)
        return (slope.to(weight.device) @ weight.to(slope.dtype)).to(slope.device)
    # Other classes of linear maps lay out their weights otherwise. Each row is scaled to 1 for the
    # way through them, in the dtype of their weights.
    size = slope.abs().amax(-1, keepdim=True).clamp(min=torch.finfo(slope.dtype).tiny)
    with torch.enable_grad():
        leaf = neurons.detach().requires_grad_(True)
        written = projection(leaf)
        scaled = (slope / size).to(written)
        (gradient,) = torch.autograd.grad(written, leaf, scaled)
    return gradient.to(slope) * size
