"""Cohere: attention and FFN read one norm and are added together; scaled logits."""

from dataclasses import replace

from caploc.models.families import llama

__all__ = ["FAMILY"]

FAMILY = replace(
    llama.FAMILY,
    name="cohere",
    architectures=("CohereForCausalLM", "Cohere2ForCausalLM"),
    ffn_norm="input_layernorm",
    logit_divisor="",
    logit_scale="logit_scale",
)
