"""OLMo 2: the norms stand behind attention and FFN, not in front."""

from caploc.models.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="olmo2",
    architectures=(
        "Olmo2ForCausalLM",
        "Olmo3ForCausalLM",
        "Exaone4ForCausalLM",
    ),
    blocks="model.layers",
    ffn_out="mlp.down_proj",
    ffn_width="intermediate_size",
    ffn_in=("mlp.gate_proj", "mlp.up_proj"),
    final_norm="model.norm",
    attention_out="self_attn.o_proj",
)
