"""DeepSeek-V3 and others that call the routed experts by its names."""

from dataclasses import replace

from caploc.models.families import qwen3_moe

__all__ = ["FAMILY"]

FAMILY = replace(
    qwen3_moe.FAMILY,
    name="deepseek_v3",
    architectures=(
        "AXK1ForCausalLM",
        "DeepseekV2ForCausalLM",
        "DeepseekV3ForCausalLM",
        "Dots1ForCausalLM",
        "Glm4MoeForCausalLM",
        "Glm4MoeLiteForCausalLM",
        "SolarOpenForCausalLM",
    ),
    experts="n_routed_experts",
)
