"""Persimmon: one matrix for query, key and value; squared ReLU."""

from dataclasses import replace

from caploc.models.families import gpt_neox

__all__ = ["FAMILY"]

FAMILY = replace(
    gpt_neox.FAMILY,
    name="persimmon",
    architectures=("PersimmonForCausalLM",),
    blocks="model.layers",
    final_norm="model.final_layernorm",
    attention_out="self_attn.dense",
)
