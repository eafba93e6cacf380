"""Mistral: as Llama, with attention to a sliding window in the first generation."""

from caploc.models._family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="mistral",
    architectures=("MistralForCausalLM",),
    blocks="model.layers",
    ffn_out="mlp.down_proj",
    ffn_width="intermediate_size",
    ffn_in=("mlp.gate_proj", "mlp.up_proj"),
    final_norm="model.norm",
)
