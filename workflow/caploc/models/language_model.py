"""A causal language model together with what the library knows about its parts."""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.pytorch_utils import Conv1D

from caploc import plugins
from caploc.models._experts import restore_experts, routed_experts
from caploc.models.family import Family
from caploc.models.placement import device_of, held_weight, held_weight_and_bias
from caploc.models.tokens import encode
from caploc.records import DataError

__all__ = ["LanguageModel", "check_linear", "family_of", "matrix", "release_model", "wrap_model"]

_DIFFERENTIABLE = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
_UNQUANTISED = "no gradient passes through that, expected float weights of 16 bits or more"


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
        """Output projection of the FFN of every block; its input is the neuron vector.

        Linear maps, not all of them of class Linear: see `matrix`.
        """
        parts = [block.get_submodule(self.family.ffn_out) for block in self.blocks]
        if self.family.experts:
            return [cast(nn.Linear, routed_experts(part).projection) for part in parts]
        return [cast(nn.Linear, part) for part in parts]

    @property
    def gates(self) -> list[nn.Module]:
        """First projection of the FFN of every block, in front of the nonlinearity.

        The first `n_neurons` of its outputs belong to the neurons, in their order.
        """
        if self.family.experts:
            parts = [block.get_submodule(self.family.ffn_out) for block in self.blocks]
            return [routed_experts(part).gate for part in parts]
        return [block.get_submodule(self.family.ffn_in[0]) for block in self.blocks]

    def parts(self, name: str, needed_by: str) -> list[nn.Module]:
        """One named part of every block.

        Args:
            name: field of the family that holds a path inside a block.
            needed_by: what cannot be computed without it, for the message.

        Raises:
            DataError: the family does not name this part.
        """
        path = getattr(self.family, name)
        if not path:
            raise DataError(
                f"family {self.family.name} names no {name}, which {needed_by} needs; add it to "
                f"workflow/caploc/models/families/{self.family.name}.py (see models/family.py) or "
                f"leave {needed_by} out of the run"
            )
        return [block.get_submodule(path) for block in self.blocks]

    @property
    def final_norm(self) -> nn.Module:
        """Norm between the last block and the head."""
        return self.model.get_submodule(self.family.final_norm)

    @property
    def head(self) -> nn.Linear:
        """Linear map from the normed residual to logits."""
        return self.model.get_output_embeddings()

    @property
    def softcap(self) -> float | None:
        """c, if the model returns c tanh(z / c) in place of the logits z of the head."""
        key = self.family.logit_softcap
        return getattr(self.model.config, key) if key else None

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits (..., vocab) of a normed residual (..., width)."""
        z = self.head(hidden)
        return z if self.softcap is None else self.softcap * torch.tanh(z / self.softcap)

    def encode(self, prompt: str, answer: str) -> tuple[list[int], list[int]]:
        """Token ids of prompt and answer that fit the model; see `caploc.models.tokens.encode`.

        Raises:
            Dropped: no answer tokens, an empty prompt, too long, or a token that the model has not.
        """
        known = len(self.model.get_input_embeddings().weight)
        return encode(self.tokenizer, prompt, answer, context=self.context, vocabulary=known)

    @property
    def device(self) -> torch.device:
        """Where logits are computed; rows live there between blocks."""
        return device_of(self.head)

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights."""
        return self.head.weight.dtype

    @property
    def context(self) -> int:
        """Longest sequence the model reads, in tokens.

        LongRoPE rotates *all* positions otherwise once a text is longer than the original context,
        so the first tokens of an answer would see another prompt than the last ones: such a model
        is used up to its original context.
        """
        config = self.model.config
        rope = getattr(config, "rope_parameters", None) or {}
        kinds = [rope, *(r for r in rope.values() if isinstance(r, dict))]
        limits = [
            r["original_max_position_embeddings"] for r in kinds if r.get("rope_type") == "longrope"
        ]
        return int(min([config.max_position_embeddings, *limits]))


def matrix(projection: nn.Module) -> Tensor:
    """Weight of a linear map as (output, input), whichever way its class stores it: to be read."""
    weight = held_weight(projection)
    return weight.T if isinstance(projection, Conv1D) else weight


def family_of(architecture: str) -> Family:
    """The family an architecture belongs to.

    Raises:
        DataError: no family names it; the message lists those that are known.
    """
    families = [plugins.load("families", name).FAMILY for name in plugins.names("families")]
    for family in families:
        if architecture in family.architectures:
            return family
    known = ", ".join(f"{f.name} ({', '.join(f.architectures)})" for f in families)
    if architecture not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values():
        raise DataError(
            f"architecture {architecture!r} is not a decoder that predicts the next token (an "
            "encoder, an encoder with a decoder, or another head?); expected a model of one of "
            f"the families {known}"
        )
    raise DataError(
        f"architecture {architecture!r} belongs to no known family; known: {known}. A new family "
        "is one small file in workflow/caploc/models/families: see docs/adding-a-family.md"
    )


def wrap_model(model: Any, tokenizer: Any = None) -> LanguageModel:
    """Describe a model that is already in memory and freeze it.

    Args:
        model: transformers model with a language-modelling head; set to evaluation mode, its
            parameters no longer require gradients.
        tokenizer: its tokenizer, if text will be encoded.

    Raises:
        DataError: unknown architecture, quantised weights, a part is missing, or the width of a
            layer disagrees with the config.
    """
    _refuse_wrapping(model)
    architecture = type(model).__name__
    family = family_of(architecture)
    _check_weights(model)
    model.eval()
    model.requires_grad_(False)
    wanted = config_width(model.config, family)
    _part(model, family.final_norm, architecture)
    blocks = list(_part(model, family.blocks, architecture))
    for block in blocks:
        projection = _part(block, family.ffn_out, architecture)
        if family.experts:
            found = routed_experts(projection).projection.in_features
        else:
            found = projection.weight.shape[0 if isinstance(projection, Conv1D) else 1]
        check_width(architecture, family, found, wanted)
    lm = LanguageModel(model, tokenizer, family, len(blocks), wanted)
    check_linear(lm.head, "the output head")
    return lm


def release_model(lm: LanguageModel) -> None:
    """Take out of a model what `wrap_model` put in; gradients and mode are the caller's."""
    if lm.family.experts:
        for block in lm.blocks:
            restore_experts(block.get_submodule(lm.family.ffn_out))


def _refuse_wrapping(model: Any) -> None:
    """A model in a wrapping, and one made in inference mode, cannot be scored."""
    inner = {"_orig_mod": "model._orig_mod", "merge_and_unload": "model.merge_and_unload()"}
    for attribute, remedy in inner.items():
        if hasattr(model, attribute):
            raise DataError(
                f"{type(model).__name__}: a compiled model, or one with an adapter; expected the "
                f"transformers model inside: give {remedy}"
            )
    adapted = [name for name, module in model.named_modules() if hasattr(module, "merged_adapters")]
    if adapted:
        raise DataError(
            f"{type(model).__name__}: an adapter stands on {adapted[0]}, which writes beside the "
            "weights that are read; give what merge_and_unload() of the peft model returns"
        )
    if any(p.is_inference() for p in model.parameters()):
        raise DataError(
            f"{type(model).__name__}: its weights were made under torch.inference_mode, where no "
            "gradient can go; load it outside"
        )


@torch.no_grad()
def check_linear(part: nn.Module, what: str) -> None:
    """Is calling a linear map its weight times its input, as whoever reads the weight assumes?

    Args:
        part: the map.
        what: its name, for the message.

    Raises:
        DataError: an adapter or a hook changes what the map gives.
    """
    _, bias = held_weight_and_bias(part)
    weight = matrix(part)
    x = torch.linspace(-1, 1, weight.shape[1], dtype=weight.dtype, device=weight.device)[None]
    expected = nn.functional.linear(x, weight, bias)
    found = part(x.to(device_of(part))).to(expected.device)
    scale = weight.abs().sum(1).max() + (0 if bias is None else bias.abs().max())
    if (found - expected).abs().max() > 64 * torch.finfo(weight.dtype).eps * scale:
        raise DataError(
            f"{what} ({type(part).__name__}) does not give its weight times its input: an adapter "
            "or a hook stands on it; merge it (merge_and_unload of peft) or remove the hook"
        )


def _part(module: Any, path: str, architecture: str) -> Any:
    """A part of the model; not every member of a family has all of them (OPT-350m)."""
    try:
        return module.get_submodule(path)
    except AttributeError:
        raise DataError(
            f"{architecture}: this model has no {path} in its {type(module).__name__}, which the "
            "method needs; choose another model of the family"
        ) from None


def _check_weights(model: Any) -> None:
    """Refuse layers that no gradient passes: integers, 8-bit floats, packed bits."""
    if getattr(model, "is_quantized", False):
        raise DataError(f"{type(model).__name__}: its weights are quantised; {_UNQUANTISED}")
    for name, parameter in model.named_parameters():
        if parameter.dtype not in _DIFFERENTIABLE:
            raise DataError(
                f"{type(model).__name__}: {name} is stored as {parameter.dtype}; {_UNQUANTISED}"
            )


def config_width(config: Any, family: Family) -> int:
    """FFN neurons in a layer, by the config."""
    width = getattr(config, family.ffn_width)
    width = int(width if width is not None else 4 * config.hidden_size)
    return width * getattr(config, family.experts) if family.experts else width


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
