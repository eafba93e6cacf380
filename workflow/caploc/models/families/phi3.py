"""Phi-3: as Llama; gate and up projection are one matrix, and so are query, key and value."""

from caploc.models.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="phi3",
    architectures=(
        "Phi3ForCausalLM",
        "GlmForCausalLM",
        "Glm4ForCausalLM",
    ),
    blocks="model.layers",
    ffn_out="mlp.down_proj",
    ffn_width="intermediate_size",
    ffn_in=("mlp.gate_up_proj",),
    final_norm="model.norm",
    attention_out="self_attn.o_proj",
)
