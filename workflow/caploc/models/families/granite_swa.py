"""Granite with windows, and Flint: every head has a sink in its softmax."""

from dataclasses import replace

from caploc.models.families import llama

__all__ = ["FAMILY"]

FAMILY = replace(
    llama.FAMILY,
    name="granite_swa",
    architectures=("GraniteSWAForCausalLM", "FlintForCausalLM"),
    # No other implementation of transformers has sinks.
    attention="eager",
)
