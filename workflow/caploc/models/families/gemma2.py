"""Gemma 2: norms around the FFN, soft caps on attention scores and logits, some layers windows."""

from caploc.models.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="gemma2",
    architectures=(
        "Gemma2ForCausalLM",
        "VaultGemmaForCausalLM",
    ),
    blocks="model.layers",
    ffn_out="mlp.down_proj",
    ffn_width="intermediate_size",
    ffn_in=("mlp.gate_proj", "mlp.up_proj"),
    final_norm="model.norm",
    # Other implementations of transformers ignore the cap of the attention scores.
    attention="eager",
    logit_softcap="final_logit_softcapping",
    attention_out="self_attn.o_proj",
)
