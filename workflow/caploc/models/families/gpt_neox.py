"""GPT-NeoX and Pythia: parallel or sequential residual, rotation of a part of each head."""

from caploc.models.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="gpt_neox",
    architectures=("GPTNeoXForCausalLM",),
    blocks="gpt_neox.layers",
    ffn_out="mlp.dense_4h_to_h",
    ffn_width="intermediate_size",
    ffn_in=("mlp.dense_h_to_4h",),
    final_norm="gpt_neox.final_layer_norm",
    attention_out="attention.dense",
)
