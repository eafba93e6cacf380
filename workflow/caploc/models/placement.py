"""Where the weights of a module are when accelerate has spread the model.

accelerate wraps the forward of a module so that its inputs and, if they were put on disk or in main
memory, its weights come to the device that computes, and leave it again. Calling a module therefore
just works; reading ``module.weight`` may give an empty (meta) tensor.
"""

from typing import cast

import torch
from torch import Tensor, nn

__all__ = ["device_of", "held_weight", "held_weight_and_bias"]


def device_of(module: nn.Module) -> torch.device:
    """Where a module with a weight computes."""
    device = getattr(getattr(module, "_hf_hook", None), "execution_device", None)
    return cast(Tensor, module.weight).device if device is None else torch.device(device)


def held_weight(module: nn.Module) -> Tensor:
    """The weight of a module, fetched if it is kept elsewhere; lives while the caller holds it."""
    return held_weight_and_bias(module)[0]


def held_weight_and_bias(module: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Both, fetched alike; the bias is None where there is none."""
    elsewhere = cast(Tensor, module.weight).device.type == "meta"
    hook = getattr(module, "_hf_hook", None) if elsewhere else None
    if hook is not None:
        hook.pre_forward(module)
    try:
        return cast(Tensor, module.weight), cast(Tensor | None, getattr(module, "bias", None))
    finally:
        if hook is not None:
            hook.post_forward(module, None)
