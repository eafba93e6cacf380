"""Qwen3-MoE: mixture of experts in every layer; neuron = expert x unit, of the chosen experts."""

from caploc.models.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="qwen3_moe",
    architectures=(
        "Qwen3MoeForCausalLM",
        "Qwen2MoeForCausalLM",
        "AfmoeForCausalLM",
        "ExaoneMoeForCausalLM",
        "HYV3ForCausalLM",
        "Kolibri1ForCausalLM",
        "LagunaForCausalLM",
        "MellumForCausalLM",
    ),
    blocks="model.layers",
    ffn_out="mlp.experts",
    ffn_width="moe_intermediate_size",
    # One parameter holds the first projections of all experts; there is no module to name.
    ffn_in=(),
    final_norm="model.norm",
    experts="num_experts",
    attention_out="self_attn.o_proj",
)
