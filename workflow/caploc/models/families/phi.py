"""Phi 1 to 2: attention and FFN read one norm and are added together."""

from dataclasses import replace

from caploc.models.families import nemotron

__all__ = ["FAMILY"]

FAMILY = replace(
    nemotron.FAMILY,
    name="phi",
    architectures=("PhiForCausalLM",),
    ffn_out="mlp.fc2",
    ffn_in=("mlp.fc1",),
    final_norm="model.final_layernorm",
    attention_out="self_attn.dense",
    ffn_norm="input_layernorm",
)
