"""CodeGen: as GPT-J, with one matrix for query, key and value."""

from dataclasses import replace

from caploc.models.families import gptj

__all__ = ["FAMILY"]

FAMILY = replace(
    gptj.FAMILY,
    name="codegen",
    architectures=("CodeGenForCausalLM",),
    attention_in=(),
)
