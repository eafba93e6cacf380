"""GPT-2: learned positions, biases, weights stored as (input, output)."""

from caploc.models.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="gpt2",
    architectures=(
        "GPT2LMHeadModel",
        "GPTBigCodeForCausalLM",
    ),
    blocks="transformer.h",
    ffn_out="mlp.c_proj",
    ffn_width="n_inner",
    ffn_in=("mlp.c_fc",),
    final_norm="transformer.ln_f",
    attention_out="attn.c_proj",
)
