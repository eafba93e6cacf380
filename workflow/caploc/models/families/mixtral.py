"""Mixtral and others whose experts have the width of the config's FFN."""

from dataclasses import replace

from caploc.models.families import olmoe

__all__ = ["FAMILY"]

FAMILY = replace(
    olmoe.FAMILY,
    name="mixtral",
    architectures=("MixtralForCausalLM", "PhimoeForCausalLM", "MiniMaxM2ForCausalLM"),
    experts="num_local_experts",
)
