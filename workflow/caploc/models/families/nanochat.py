"""nanochat: norms without weights, squared ReLU, soft cap on logits."""

from dataclasses import replace

from caploc.models.families import nemotron

__all__ = ["FAMILY"]

FAMILY = replace(
    nemotron.FAMILY,
    name="nanochat",
    architectures=("NanoChatForCausalLM",),
    ffn_out="mlp.fc2",
    ffn_in=("mlp.fc1",),
    logit_softcap="final_logit_softcapping",
)
