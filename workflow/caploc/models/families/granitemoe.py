"""Granite with experts."""

from dataclasses import replace

from caploc.models.families import mixtral

__all__ = ["FAMILY"]

FAMILY = replace(
    mixtral.FAMILY,
    name="granitemoe",
    architectures=("GraniteMoeForCausalLM", "GraniteMoeSharedForCausalLM"),
    ffn_out="block_sparse_moe.experts",
    logit_divisor="logits_scaling",
)
