"""Llama: sequential residual, RMS norms, gated FFN, grouped-query attention."""

from caploc.models.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="llama",
    architectures=(
        "LlamaForCausalLM",
        "BitNetForCausalLM",
        "CwmForCausalLM",
        "Emu3ForCausalLM",
        "Ernie4_5ForCausalLM",
        "GemmaForCausalLM",
        "GraniteForCausalLM",
        "HeliumForCausalLM",
        "HunYuanDenseV1ForCausalLM",
        "MiniCPM3ForCausalLM",
        "Ministral3ForCausalLM",
        "MinistralForCausalLM",
        "OlmoForCausalLM",
        "SeedOssForCausalLM",
        "SmolLM3ForCausalLM",
        "StableLmForCausalLM",
        "YoutuForCausalLM",
    ),
    blocks="model.layers",
    ffn_out="mlp.down_proj",
    ffn_width="intermediate_size",
    ffn_in=("mlp.gate_proj", "mlp.up_proj"),
    final_norm="model.norm",
    attention_out="self_attn.o_proj",
    attention_in=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    attention_norm="input_layernorm",
    ffn_norm="post_attention_layernorm",
    # Granite; Llama itself has no such key.
    logit_divisor="logits_scaling",
)
