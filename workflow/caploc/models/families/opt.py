"""OPT with norms in front (all sizes but 350m): learned positions with an offset, ReLU."""

from caploc.models.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="opt",
    architectures=("OPTForCausalLM",),
    blocks="model.decoder.layers",
    ffn_out="fc2",
    ffn_width="ffn_dim",
    ffn_in=("fc1",),
    final_norm="model.decoder.final_layer_norm",
    attention_out="self_attn.out_proj",
    attention_in=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    attention_norm="self_attn_layer_norm",
    ffn_norm="final_layer_norm",
)
