"""BioGPT: as OPT, with other names."""

from dataclasses import replace

from caploc.models.families import opt

__all__ = ["FAMILY"]

FAMILY = replace(
    opt.FAMILY,
    name="biogpt",
    architectures=("BioGptForCausalLM",),
    blocks="biogpt.layers",
    ffn_width="intermediate_size",
    final_norm="biogpt.layer_norm",
)
