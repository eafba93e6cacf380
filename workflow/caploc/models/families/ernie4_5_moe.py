"""ERNIE 4.5 with experts."""

from dataclasses import replace

from caploc.models.families import qwen3_moe

__all__ = ["FAMILY"]

FAMILY = replace(
    qwen3_moe.FAMILY,
    name="ernie4_5_moe",
    architectures=("Ernie4_5_MoeForCausalLM",),
    experts="moe_num_experts",
)
