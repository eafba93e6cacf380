"""Qwen2 and Qwen2.5: as Llama, with biases in the attention; later layers may have a window."""

from caploc.models.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="qwen2",
    architectures=("Qwen2ForCausalLM",),
    blocks="model.layers",
    ffn_out="mlp.down_proj",
    ffn_width="intermediate_size",
    ffn_in=("mlp.gate_proj", "mlp.up_proj"),
    final_norm="model.norm",
    attention_out="self_attn.o_proj",
    attention_in=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    attention_norm="input_layernorm",
    ffn_norm="post_attention_layernorm",
)
