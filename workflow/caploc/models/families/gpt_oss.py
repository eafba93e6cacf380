"""GPT-OSS: experts with biases; every head has a sink in its softmax."""

from dataclasses import replace

from caploc.models.families import mixtral

__all__ = ["FAMILY"]

FAMILY = replace(
    mixtral.FAMILY,
    name="gpt_oss",
    architectures=("GptOssForCausalLM",),
    attention="eager",
)
