"""Where the weights of a module are when accelerate has spread the model.

accelerate wraps the forward of a module so that its inputs and, if they were put on disk or in main
memory, its weights come to the device that computes, and leave it again. Calling a module therefore
just works; reading ``module.weight`` may give an empty (meta) tensor.
"""

from typing import cast

import torch
from torch import Tensor, nn

from caploc.records import DataError

__all__ = ["device_of", "held_weight", "held_weight_and_bias", "weight_in_place"]


def device_of(module: nn.Module) -> torch.device:
    """Where a module with a weight computes."""
    device = getattr(getattr(module, "_hf_hook", None), "execution_device", None)
    return cast(Tensor, module.weight).device if device is None else torch.device(device)


def held_weight(module: nn.Module) -> Tensor:
    """The weight of a module, to be read, fetched if it is kept elsewhere."""
    return held_weight_and_bias(module)[0]


def weight_in_place(module: nn.Module) -> Tensor:
    """The weight of a module, to be changed.

    Raises:
        DataError: accelerate keeps it on disk or in main memory and would never see the change.
    """
    weight = cast(Tensor, module.weight)
    if weight.device.type == "meta":
        raise DataError(
            f"{type(module).__name__}: accelerate keeps its weight on disk or in main memory, "
            "where it cannot be changed; load the model whole, or silence neurons without "
            "changing weights"
        )
    return weight


def held_weight_and_bias(module: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Both, fetched alike; they live while the caller holds them. The bias may be None."""
    elsewhere = cast(Tensor, module.weight).device.type == "meta"
    hook = getattr(module, "_hf_hook", None) if elsewhere else None
    if hook is not None:
        hook.pre_forward(module)
    try:
        return cast(Tensor, module.weight), cast(Tensor | None, getattr(module, "bias", None))
    finally:
        if hook is not None:
            hook.post_forward(module, None)
