"""StarCoder 2: biases, plain FFN, sliding window."""

from dataclasses import replace

from caploc.models.families import nemotron

__all__ = ["FAMILY"]

FAMILY = replace(
    nemotron.FAMILY,
    name="starcoder2",
    architectures=("Starcoder2ForCausalLM",),
    ffn_out="mlp.c_proj",
    ffn_in=("mlp.c_fc",),
)
