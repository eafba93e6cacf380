"""Gemma 3, text only: norms around the FFN, five layers with a window to one without."""

from caploc.models.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="gemma3",
    architectures=(
        "Gemma3ForCausalLM",
        "Gemma4ForCausalLM",
        "Gemma4UnifiedForCausalLM",
    ),
    blocks="model.layers",
    ffn_out="mlp.down_proj",
    ffn_width="intermediate_size",
    ffn_in=("mlp.gate_proj", "mlp.up_proj"),
    final_norm="model.norm",
    logit_softcap="final_logit_softcapping",
    attention_out="self_attn.o_proj",
)
