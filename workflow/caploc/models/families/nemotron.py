"""Nemotron and others with the names of Llama, whose FFN has no gate."""

from dataclasses import replace

from caploc.models.families import llama

__all__ = ["FAMILY"]

FAMILY = replace(
    llama.FAMILY,
    name="nemotron",
    architectures=("NemotronForCausalLM", "ArceeForCausalLM", "Jais2ForCausalLM"),
    ffn_in=("mlp.up_proj",),
)
