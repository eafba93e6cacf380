"""MiMo-V2-Flash: experts; heads of the layers with a window have a sink."""

from dataclasses import replace

from caploc.models.families import deepseek_v3

__all__ = ["FAMILY"]

FAMILY = replace(
    deepseek_v3.FAMILY,
    name="mimo_v2_flash",
    architectures=("MiMoV2FlashForCausalLM",),
    attention="eager",
)
