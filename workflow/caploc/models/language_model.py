"""A causal language model together with what the library knows about its parts."""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from caploc.models._experts import (
    DenseFFN,
    RoutedExperts,
    experts_in_place,
    ffn_of,
    restore_experts,
)
from caploc.models.family import Family
from caploc.models.placement import device_of, held_weight, held_weight_and_bias
from caploc.models.recognition import check_width, config_width, family_of, found_width, part
from caploc.models.tokens import encode
from caploc.records import DataError

__all__ = ["LanguageModel", "check_linear", "matrix", "release_model", "wrap_model"]

_DIFFERENTIABLE = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
_NO_LIMIT = 1 << 20
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
        if self.family.experts:
            return [cast(nn.Linear, ffn.projection) for ffn in self._experts]
        return [cast(nn.Linear, block.get_submodule(self.family.ffn_out)) for block in self.blocks]

    @property
    def gates(self) -> list[nn.Module]:
        """First projection of the FFN of every block, in front of the nonlinearity.

        The first `n_neurons` of its outputs belong to the neurons, in their order.
        """
        if self.family.experts:
            return [ffn.gate for ffn in self._experts]
        return [block.get_submodule(self.family.ffn_in[0]) for block in self.blocks]

    @property
    def _experts(self) -> list[RoutedExperts | DenseFFN]:
        path = self.family.ffn_out
        return [experts_in_place(ffn_of(block, path), self.n_neurons) for block in self.blocks]

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
        return [part(block, path, type(self.model).__name__) for block in self.blocks]

    @property
    def final_norm(self) -> nn.Module:
        """Norm between the last block and the head."""
        return self.model.get_submodule(self.family.final_norm)

    @property
    def head(self) -> nn.Linear:
        """Linear map from the normed residual to logits."""
        return self.model.get_output_embeddings()

    @property
    def tried(self) -> bool:
        """Did the user name the family, because none names this architecture?"""
        return type(self.model).__name__ not in self.family.architectures

    @property
    def config(self) -> Any:
        """Config of the decoder; a model for pictures as well has it inside its own."""
        return self.model.config.get_text_config()

    @property
    def softcap(self) -> float | None:
        """c, if the model returns c tanh(z / c) in place of the logits z of the head."""
        key = self.family.logit_softcap
        return getattr(self.config, key, None) if key else None

    @property
    def logit_scale(self) -> float:
        """What the model multiplies the logits of the head by, before any cap."""
        keys = self.family.logit_scale, self.family.logit_divisor
        factor, divisor = (getattr(self.config, key, 1) if key else 1 for key in keys)
        return factor / divisor

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits (..., vocab) of a normed residual (..., width)."""
        z = self.head(hidden)
        if self.logit_scale != 1:
            z = z * self.logit_scale
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
        config = self.config
        rope = getattr(config, "rope_parameters", None) or {}
        kinds = [rope, *(r for r in rope.values() if isinstance(r, dict))]
        limits = [
            r["original_max_position_embeddings"] for r in kinds if r.get("rope_type") == "longrope"
        ]
        # Positions that are a slope, not a table, know no limit of their own.
        longest = getattr(config, "max_position_embeddings", None)
        longest = longest or getattr(config, "max_seq_len", _NO_LIMIT)
        return int(min([longest, *limits]))


def matrix(projection: nn.Module) -> Tensor:
    """Weight of a linear map as (output, input), whichever way its class stores it: to be read."""
    weight = held_weight(projection)
    return weight.T if isinstance(projection, Conv1D) else weight


def wrap_model(model: Any, tokenizer: Any = None, family: str | None = None) -> LanguageModel:
    """Describe a model that is already in memory and freeze it.

    Args:
        model: transformers model with a language-modelling head; set to evaluation mode, its
            parameters no longer require gradients.
        tokenizer: its tokenizer, if text will be encoded.
        family: to try the model as, if its architecture belongs to none.

    Raises:
        DataError: unknown architecture, quantised weights, a part is missing, or the width of a
            layer disagrees with the config.
    """
    _refuse_wrapping(model)
    architecture = type(model).__name__
    record = family_of(architecture, family, lambda: model)
    _check_weights(model)
    model.eval()
    model.requires_grad_(False)
    wanted = config_width(model.config, record)
    part(model, record.final_norm, architecture)
    blocks = list(part(model, record.blocks, architecture))
    for block in blocks:
        found = found_width(block, record, architecture, wanted)
        check_width(architecture, record, found, wanted)
    lm = LanguageModel(model, tokenizer, record, len(blocks), wanted)
    check_linear(lm.head, "the output head")
    if record.experts:
        lm.gates  # noqa: B018 - refuses experts that are kept elsewhere
    return lm


def release_model(lm: LanguageModel) -> None:
    """Take out of a model what `wrap_model` put in; gradients and mode are the caller's."""
    if lm.family.experts:
        for block in lm.blocks:
            restore_experts(ffn_of(block, lm.family.ffn_out))


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


def _check_weights(model: Any) -> None:
    """Refuse layers that no gradient passes: integers, 8-bit floats, packed bits."""
    if getattr(model, "is_quantized", False):
        raise DataError(f"{type(model).__name__}: its weights are quantised; {_UNQUANTISED}")
    for name, parameter in model.named_parameters():
        if parameter.dtype not in _DIFFERENTIABLE:
            raise DataError(
                f"{type(model).__name__}: {name} is stored as {parameter.dtype}; {_UNQUANTISED}"
            )
