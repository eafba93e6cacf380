"""GPT-J: attention and FFN read the same norm and are added together (parallel residual)."""

from caploc.models._family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="gptj",
    architectures=("GPTJForCausalLM",),
    blocks="transformer.h",
    ffn_out="mlp.fc_out",
    ffn_width="n_inner",
    ffn_in=("mlp.fc_in",),
    final_norm="transformer.ln_f",
    # The class predates the attention interface: it computes the scores in a method of its own.
    attention="eager",
    attention_method="attn._attn",
)
