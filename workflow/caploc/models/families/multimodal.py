"""Text decoders inside models that read pictures as well; their blocks are Llama's or Gemma's."""

from dataclasses import replace

from caploc.models.families import llama

__all__ = ["FAMILY"]

FAMILY = replace(
    llama.FAMILY,
    name="multimodal",
    architectures=(
        "Gemma3ForConditionalGeneration",
        "LlavaForConditionalGeneration",
        "Mistral3ForConditionalGeneration",
    ),
    blocks="model.language_model.layers",
    final_norm="model.language_model.norm",
)
