"""Which family a model is of, and which one it could be tried as."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)
from transformers.pytorch_utils import Conv1D

from caploc import plugins
from caploc.models._experts import ffn_of, n_units
from caploc.models.family import Family
from caploc.records import DataError

__all__ = ["check_width", "config_width", "family_of", "found_width", "looks_like", "part"]

_DECODERS = {
    *MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values(),
    *MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.values(),
}
# Projections of a plain FFN among layers of experts.
_GATED = ("gate_proj", "up_proj", "down_proj")


def family_of(
    architecture: str, named: str | None = None, model: Callable[[], Any] | None = None
) -> Family:
    """The family an architecture belongs to, else the one that the user names.

    Args:
        architecture: class of the model.
        named: family to try an architecture as that no family names.
        model: makes a model of that class to look at its blocks, or returns None.

    Raises:
        DataError: no family names it, and neither does the user; the message says which family its
            blocks look like.
    """
    for family in _families():
        if architecture in family.architectures:
            return family
    if architecture not in _DECODERS:
        raise DataError(
            f"architecture {architecture!r} is not a decoder that predicts the next token (an "
            "encoder, an encoder with a decoder, or another head?); expected a model of one of "
            f"the families {', '.join(plugins.names('families'))} (docs/families.md)"
        )
    if named is not None:
        chosen: Family = plugins.load("families", named).FAMILY
        return chosen
    made = model() if model is not None else None
    similar = looks_like(made) if made is not None else None
    if similar is not None:
        raise DataError(
            f"architecture {architecture!r} belongs to no known family, but looks like "
            f"{similar.name}: set `family: {similar.name}` to try (in Python: "
            f'wrap_model(model, family="{similar.name}")); it will be checked'
        )
    raise DataError(
        f"architecture {architecture!r} belongs to no known family, and its blocks look like those "
        "of none; docs/families.md lists all that are known, docs/adding-a-family.md says how to "
        "add one"
    )


def looks_like(model: Any) -> Family | None:
    """The family whose named parts the blocks of a model have, the most of them; None: no family.

    A look at names and widths, which says nothing about what the blocks compute.

    Args:
        model: may be without weights (on the device meta).
    """
    likely = [(n, family) for family in _families() if (n := _parts_found(model, family))]
    # Llama first among equals: most models of today are built like it.
    order = sorted(likely, key=lambda pair: (-pair[0], pair[1].name != "llama", pair[1].name))
    return order[0][1] if order else None


def _families() -> list[Family]:
    return [plugins.load("families", name).FAMILY for name in plugins.names("families")]


def _parts_found(model: Any, family: Family) -> int:
    """How many named parts and config keys a model has; 0 if one lacks that scores need."""
    name, config = type(model).__name__, model.config.get_text_config()
    try:
        part(model, family.final_norm, name)
        for block in part(model, family.blocks, name):
            for path in family.ffn_in:
                part(block, path, name)
            wanted = config_width(config, family)
            if found_width(block, family, name, wanted) != wanted:
                return 0
        head = family.attention_out, *family.attention_in, family.attention_norm, family.ffn_norm
        extra = sum(bool(path) and _has(block, path) for path in dict.fromkeys(head))
    except (DataError, AttributeError, TypeError):
        return 0
    keys = family.logit_softcap, family.logit_scale, family.logit_divisor
    return 1 + extra + sum(bool(key) and hasattr(config, key) for key in keys)


def _has(module: Any, path: str) -> bool:
    try:
        return module.get_submodule(path) is not None
    except AttributeError:
        return False


def part(module: Any, path: str, architecture: str) -> Any:
    """A part of the model; not every member of a family has all of them (OPT-350m).

    Args:
        module: model or block.
        path: inside of it.
        architecture: of the model, for the message.

    Raises:
        DataError: there is none.
    """
    try:
        return module.get_submodule(path)
    except AttributeError:
        raise DataError(
            f"{architecture}: this model has no {path} in its {type(module).__name__}, which the "
            "method needs; choose another model of the family"
        ) from None


def found_width(block: Any, family: Family, architecture: str, wanted: int) -> int:
    """FFN neurons in a block, by its weights.

    Args:
        block: of the model.
        family: of the model.
        architecture: of the model, for messages.
        wanted: neurons of a layer of experts; a plain FFN among them may have fewer.

    Raises:
        DataError: the block has no FFN of this family.
    """
    if family.experts:
        part(block, family.ffn_out.rpartition(".")[0], architecture)
        ffn = ffn_of(block, family.ffn_out)
        down = getattr(ffn, "down_proj", None)
        if isinstance(down, Tensor):
            return len(down) * n_units(ffn)
        if not all(isinstance(getattr(ffn, name, None), nn.Linear) for name in _GATED):
            raise DataError(
                f"{architecture}: an FFN of the class {type(ffn).__name__} has neither experts "
                f"that are one parameter nor {', '.join(_GATED)}, which the method needs; choose "
                "another model"
            )
        return max(int(ffn.down_proj.in_features), wanted)
    projection = part(block, family.ffn_out, architecture)
    return int(projection.weight.shape[0 if isinstance(projection, Conv1D) else 1])


def config_width(config: Any, family: Family) -> int:
    """FFN neurons in a layer, by the config."""
    config = config.get_text_config()
    width = getattr(config, family.ffn_width, None)
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
