"""Granite with experts and windows: every head has a sink in its softmax."""

from dataclasses import replace

from caploc.models.families import granitemoe

__all__ = ["FAMILY"]

FAMILY = replace(
    granitemoe.FAMILY,
    name="granitemoe_swa",
    architectures=("GraniteMoeSWAForCausalLM",),
    attention="eager",
)
