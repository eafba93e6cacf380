"""OLMoE: mixture of experts; neuron = expert x unit, of the experts chosen for a token."""

from caploc.models.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="olmoe",
    architectures=("OlmoeForCausalLM",),
    blocks="model.layers",
    ffn_out="mlp.experts",
    ffn_width="intermediate_size",
    # One parameter holds the first projections of all experts; there is no module to name.
    ffn_in=(),
    final_norm="model.norm",
    experts="num_experts",
    attention_out="self_attn.o_proj",
)
