"""Load a causal language model from a folder or the hub, and refuse one that does not fit.

The headers of the weight files are read first: a truncated file or a config that belongs to other
weights is reported in a second, not after gigabytes were read.
"""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as progress

from caploc.models.family import Family
from caploc.models.hub import snapshot
from caploc.models.language_model import (
    LanguageModel,
    check_width,
    config_width,
    family_of,
    wrap_model,
)
from caploc.records import DataError

__all__ = ["LanguageModel", "check_shape", "load_model", "read_architecture", "shape_of"]

_LOG = logging.getLogger(__name__)
_DTYPES = {name: getattr(torch, name) for name in ("float32", "float64", "bfloat16", "float16")}
# In front of the names of weights that were saved from inside something.
_WRAPPINGS = ("_orig_mod.", "module.", "base_model.model.")
_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"


def load_model(
    path: str | Path,
    *,
    revision: str | None = None,
    dtype: str = "float32",
    device: str | torch.device | None = None,
) -> LanguageModel:
    """Load a model for attribution: evaluation mode, frozen, no remote code.

    Args:
        path: folder with config.json, tokenizer and weights, or a hub id such as ``owner/name``.
        revision: commit, tag or branch, for a hub id only.
        dtype: ``float32``, ``float64``, ``bfloat16`` or ``float16``.
        device: where to put the weights, e.g. ``cuda``; None means the processor.

    Raises:
        DataError: missing or damaged files, an unknown architecture, weights that disagree with
            the config, a tokenizer without character spans, or a device that is not there.

    Example:
        >>> lm = caploc.load_model(folder)
        >>> (lm.n_layers, lm.n_neurons) == found.mask.shape
        True
        >>> table = caploc.evaluate(lm.model, lm.tokenizer, pairs)
    """
    if dtype not in _DTYPES:
        raise DataError(f"unknown dtype {dtype!r}; available: {', '.join(_DTYPES)}")
    folder = _folder(path, revision)
    config, family = read_architecture(folder)
    _refuse_adapters(folder)
    _check_weights(folder, config, family)
    model, info = _from_pretrained(folder, config, _DTYPES[dtype], family)
    _check_keys(folder, type(model).__name__, info)
    language_model = wrap_model(_place(model, device), _tokenizer(folder))
    _LOG.info(
        "%s: %s, %d layers of %d neurons, %s on %s", folder.name, type(model).__name__,
        language_model.n_layers, language_model.n_neurons, dtype, language_model.device,
    )  # fmt: skip
    return language_model


def read_architecture(folder: Path) -> tuple[Any, Family]:
    """Config of the model in a folder, and its family.

    Raises:
        DataError: no readable config.json, or an unknown architecture, quantised weights.
    """
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    # A config that contradicts itself ends in many types of errors, some of several lines.
    except Exception as error:
        raise DataError(
            f"{folder}: no usable config.json ({' '.join(str(error).split())}); expected the "
            "folder of a transformers model"
        ) from None
    if not config.architectures:
        raise DataError(f"{folder}/config.json: `architectures` is missing; expected one name")
    quantised = getattr(config, "quantization_config", None)
    if quantised is not None:
        method = dict(quantised).get("quant_method") if isinstance(quantised, dict) else quantised
        raise DataError(
            f"{folder}: the weights are quantised ({method or 'unknown method'}), and no gradient "
            "goes through them; expected the unquantised model (dtype bfloat16 takes two bytes a "
            "weight)"
        )
    return config, family_of(config.architectures[0])


def _check_keys(folder: Path, name: str, info: Mapping[str, Any]) -> None:
    """Every weight of the files belongs to the model, and the other way round."""
    missing, unexpected = sorted(info["missing_keys"]), sorted(info["unexpected_keys"])
    wrapped = [p for p in _WRAPPINGS if any(key.startswith(p) for key in unexpected)]
    if wrapped:
        raise DataError(
            f"{folder}: the names of its weights begin with {wrapped[0]!r}: it was saved inside a "
            "wrapping (compiled, parallel or with an adapter); save the model itself, unwrapped or "
            "merged, with save_pretrained"
        )
    if missing or info["mismatched_keys"]:
        wrong = missing or [str(key) for key in info["mismatched_keys"]]
        raise DataError(
            f"{folder}: {len(wrong)} weights of {name} are missing or of another shape, the first "
            f"is {wrong[0]}; copy the folder again, all files of it"
        )
    if unexpected:
        raise DataError(
            f"{folder}: {len(unexpected)} weights belong to no part of {name} as config.json "
            f"describes it, the first is {unexpected[0]}; config.json and the weights are not of "
            "the same model: copy the folder again"
        )


def _refuse_adapters(folder: Path) -> None:
    """Transformers would load an adapter beside the weights without a word."""
    found = sorted(folder.glob("adapter_*"))
    if found:
        raise DataError(
            f"{folder}: holds an adapter ({found[0].name}) beside the model; merge it "
            "(merge_and_unload of peft, then save_pretrained), or take its files out of the folder"
        )


def check_shape(folder: Path, shape: Mapping[str, Any], where: str) -> None:
    """Compare the size that a configuration states with config.json; reads no weights.

    Args:
        folder: of the model.
        shape: any of layers, hidden, ffn, heads, kv_heads, vocabulary, tied.
        where: key of the configuration, for messages.

    Raises:
        DataError: a number differs; the message has both.
    """
    found = shape_of(folder)
    wrong = [key for key, value in shape.items() if found[key] != value]
    if wrong:
        told = ", ".join(f"{where}.{key} is {shape[key]}, found {found[key]}" for key in wrong)
        raise DataError(
            f"{told} in {folder}/config.json; correct the shape, or `repo` and `path` if this is "
            "not the model you mean"
        )


def shape_of(folder: Path) -> dict[str, Any]:
    """Size of the model in a folder, as the key ``shape`` of the configuration; reads no weights.

    Raises:
        DataError: as `read_architecture`.
    """
    config, family = read_architecture(folder)
    heads = config.num_attention_heads
    kv_heads = getattr(config, "num_key_value_heads", None) or getattr(config, "num_kv_heads", None)
    return {
        "layers": config.num_hidden_layers,
        "hidden": config.hidden_size,
        "ffn": config_width(config, family),
        "heads": heads,
        "kv_heads": kv_heads or heads,
        "vocabulary": config.vocab_size,
        "tied": bool(config.tie_word_embeddings),
    }


def _folder(path: str | Path, revision: str | None) -> Path:
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if isinstance(path, Path) or str(path).count("/") != 1 or str(path)[0] in "./~":
        raise DataError(f"{path}: no such folder; expected a folder of a transformers model")
    return snapshot(path, revision)[0]


def _check_weights(folder: Path, config: Any, family: Family) -> None:
    """Open every weight file and compare the width of each layer with the config."""
    wanted = config_width(config, family)
    for name in _weight_files(folder):
        try:
            with safe_open(folder / name, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118 - the file is not a mapping
                    if key.endswith(f"{family.ffn_out}.weight"):
                        shape = file.get_slice(key).get_shape()
                        # Some families store the transpose.
                        if wanted not in shape:
                            check_width(config.architectures[0], family, shape[1], wanted)
        except (SafetensorError, OSError) as error:
            size = (folder / name).stat().st_size if (folder / name).is_file() else None
            found_text = "the file is not there" if size is None else f"{size} bytes, {error}"
            raise DataError(
                f"{folder / name}: damaged or missing weights ({found_text}); copy or download "
                "this file again, or make the model anew by deleting its manifest.json"
            ) from None


def _weight_files(folder: Path) -> list[str]:
    if (folder / _INDEX).is_file():
        try:
            index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
            return sorted(set(index["weight_map"].values()))
        except (ValueError, KeyError) as error:
            raise DataError(
                f"{folder / _INDEX}: not a list of weight files ({error}); copy it again"
            ) from None
    pickled = sorted(folder.glob("*.bin"))
    if not (folder / _SINGLE).is_file() and pickled:
        raise DataError(
            f"{folder}: holds only pickled weights ({pickled[0].name}), which can run any program "
            "when they are read; expected safetensors. Convert the model once where you trust it, "
            "with from_pretrained and save_pretrained of transformers, and name that folder"
        )
    return [_SINGLE]


def _from_pretrained(folder: Path, config: Any, dtype: torch.dtype, family: Family) -> Any:
    # What a model returns beside its logits is no property of it.
    config.return_dict, config.output_hidden_states = True, False
    config._output_attentions = False
    # The default for experts, a grouped product, knows no float64.
    experts = (
        {"experts_implementation": "eager"} if family.experts and dtype == torch.float64 else {}
    )
    try:
        with _quiet_unless_watched():
            return AutoModelForCausalLM.from_pretrained(
                folder,
                config=config,
                dtype=dtype,
                attn_implementation=family.attention,
                trust_remote_code=False,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **experts,
            )
    # A config that does not fit ends in many types of errors, all with the same remedy.
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{folder}: the weights cannot be loaded ({reason}); config.json "
            "and the weights may not be of the same model: copy the folder again"
        ) from None


@contextmanager
def _quiet_unless_watched() -> Iterator[None]:
    """No progress bar of transformers in a log file."""
    if sys.stderr.isatty() or not progress.is_progress_bar_enabled():
        yield
        return
    progress.disable_progress_bar()
    try:
        yield
    finally:
        progress.enable_progress_bar()


def _tokenizer(folder: Path) -> Any:
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{folder}: no usable tokenizer ({str(error).splitlines()[0]}); expected tokenizer.json"
        ) from None
    if not tokenizer.is_fast:
        raise DataError(
            f"{folder}: {type(tokenizer).__name__} gives no character spans; expected a fast "
            "tokenizer (tokenizer.json)"
        )
    return tokenizer


def _place(model: Any, device: str | torch.device | None) -> Any:
    try:
        return model.to(device or "cpu")
    except (RuntimeError, AssertionError) as error:
        raise DataError(
            f"the model cannot be put on device {str(device)!r} ({str(error).splitlines()[0]}); "
            "use `device: cpu`, a smaller dtype, or a machine that has one"
        ) from None
