"""Apertus: no gate in the FFN; an activation with weights of its own."""

from dataclasses import replace

from caploc.models.families import nemotron

__all__ = ["FAMILY"]

FAMILY = replace(
    nemotron.FAMILY,
    name="apertus",
    architectures=("ApertusForCausalLM",),
    attention_norm="attention_layernorm",
    ffn_norm="feedforward_layernorm",
)
