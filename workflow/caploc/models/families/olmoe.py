"""OLMoE: mixture of experts; neuron = expert x unit, of the experts chosen for a token."""

from caploc.models.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="olmoe",
    architectures=(
        "OlmoeForCausalLM",
        "Cohere2MoeForCausalLM",
        "FlexOlmoForCausalLM",
        "HunYuanMoEV1ForCausalLM",
    ),
    blocks="model.layers",
    ffn_out="mlp.experts",
    ffn_width="intermediate_size",
    # One parameter holds the first projections of all experts; there is no module to name.
    ffn_in=(),
    final_norm="model.norm",
    experts="num_experts",
    # Cohere 2; the others have no such key.
    logit_scale="logit_scale",
    attention_out="self_attn.o_proj",
)
