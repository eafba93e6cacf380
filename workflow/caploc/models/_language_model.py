"""A causal language model together with what the library knows about its parts."""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from caploc import plugins
from caploc.models._family import Family
from caploc.records import DataError

__all__ = ["LanguageModel", "family_of", "wrap_model"]


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A loaded model, its tokenizer and the names of its parts.

    Attributes:
        model: transformers model with a language-modelling head, in evaluation mode.
        tokenizer: fast tokenizer (gives character spans), or None where only ids are used.
        family: names of the modules.
        n_layers: number of decoder blocks.
        n_neurons: FFN neurons in a layer.
    """

    model: Any
    tokenizer: Any
    family: Family
    n_layers: int
    n_neurons: int

    @property
    def blocks(self) -> list[nn.Module]:
        """Decoder blocks in order."""
        return list(self.model.get_submodule(self.family.blocks))

    @property
    def projections(self) -> list[nn.Linear]:
        """Output projection of the FFN of every block; its input is the neuron vector."""
        return [cast(nn.Linear, b.get_submodule(self.family.ffn_out)) for b in self.blocks]

    @property
    def final_norm(self) -> nn.Module:
        """Norm between the last block and the head."""
        return self.model.get_submodule(self.family.final_norm)

    @property
    def head(self) -> nn.Linear:
        """Linear map from the normed residual to logits."""
        return self.model.get_output_embeddings()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.head.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights."""
        return self.head.weight.dtype

    @property
    def context(self) -> int:
        """Longest sequence the model reads, in tokens."""
        return int(self.model.config.max_position_embeddings)


def family_of(architecture: str) -> Family:
    """The family an architecture belongs to.

    Raises:
        DataError: no family names it; the message lists those that are known.
    """
    families = [plugins.load("models", name).FAMILY for name in plugins.names("models")]
    for family in families:
        if architecture in family.architectures:
            return family
    known = ", ".join(f"{f.name} ({', '.join(f.architectures)})" for f in families)
    raise DataError(
        f"architecture {architecture!r} belongs to no known family; known: {known}. A new family "
        "is one small file in workflow/caploc/models"
    )


def wrap_model(model: Any, tokenizer: Any = None) -> LanguageModel:
    """Describe a model that is already in memory and freeze it.

    Args:
        model: transformers model with a language-modelling head; set to evaluation mode, its
            parameters no longer require gradients.
        tokenizer: its tokenizer, if text will be encoded.

    Raises:
        DataError: unknown architecture, or the width of a layer disagrees with the config.
    """
    architecture = type(model).__name__
    family = family_of(architecture)
    model.eval()
    model.requires_grad_(False)
    wanted = config_width(model.config, family)
    blocks = list(model.get_submodule(family.blocks))
    for block in blocks:
        check_width(
            architecture, family, block.get_submodule(family.ffn_out).weight.shape[1], wanted
        )
    return LanguageModel(model, tokenizer, family, len(blocks), wanted)


def config_width(config: Any, family: Family) -> int:
    """FFN neurons in a layer, by the config."""
    width = getattr(config, family.ffn_width)
    return int(width if width is not None else 4 * config.hidden_size)


def check_width(architecture: str, family: Family, found: int, wanted: int) -> None:
    """Refuse a layer whose width is not the one of the config.

    Raises:
        DataError: the widths differ.
    """
    if found != wanted:
        raise DataError(
            f"{architecture}: {family.ffn_out} takes {found} inputs but config.{family.ffn_width} "
            f"is {wanted}; config.json and the weights are not of the same model"
        )
