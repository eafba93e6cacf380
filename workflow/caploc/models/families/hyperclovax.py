"""HyperCLOVA X: as Llama, with logits multiplied by a number (Granite divides)."""

from dataclasses import replace

from caploc.models.families import llama

__all__ = ["FAMILY"]

FAMILY = replace(
    llama.FAMILY,
    name="hyperclovax",
    architectures=("HyperCLOVAXForCausalLM",),
    logit_divisor="",
    logit_scale="logits_scaling",
)
