"""Load a causal language model from a folder or the hub, and refuse one that does not fit.

The headers of the weight files are read first: a truncated file or a config that belongs to other
weights is reported in a second, not after gigabytes were read.
"""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoTokenizer
from transformers.utils import logging as progress

from caploc.models.family import Family
from caploc.models.folders import check_folder, weight_files
from caploc.models.hub import snapshot
from caploc.models.language_model import (
    LanguageModel,
    wrap_model,
)
from caploc.models.recognition import check_width, config_width, family_of
from caploc.records import DataError

__all__ = ["LanguageModel", "check_shape", "load_model", "read_architecture", "shape_of"]

_LOG = logging.getLogger(__name__)
_DTYPES = {name: getattr(torch, name) for name in ("float32", "float64", "bfloat16", "float16")}
# In front of the names of weights that were saved from inside something.
_WRAPPINGS = ("_orig_mod.", "module.", "base_model.model.")


def load_model(
    path: str | Path,
    *,
    revision: str | None = None,
    dtype: str = "float32",
    device: str | torch.device | None = None,
    family: str | None = None,
) -> LanguageModel:
    """Load a model for attribution: evaluation mode, frozen, no remote code.

    Args:
        path: folder with config.json, tokenizer and weights, or a hub id such as ``owner/name``.
        revision: commit, tag or branch, for a hub id only.
        dtype: ``float32``, ``float64``, ``bfloat16`` or ``float16``.
        device: where to put the weights, e.g. ``cuda``; None means the processor.
        family: to try an architecture as that belongs to none; ignored for those that do.

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
    config, record = read_architecture(folder, family)
    _check_weights(folder, config, record)
    model, info = _from_pretrained(folder, config, _DTYPES[dtype], record)
    _check_keys(folder, type(model).__name__, info)
    language_model = wrap_model(_place(model, device), _tokenizer(folder), family)
    _LOG.info(
        "%s: %s, %d layers of %d neurons, %s on %s", folder.name, type(model).__name__,
        language_model.n_layers, language_model.n_neurons, dtype, language_model.device,
    )  # fmt: skip
    return language_model


def read_architecture(folder: Path, family: str | None = None) -> tuple[Any, Family]:
    """Config of the model in a folder, and its family.

    Args:
        folder: of the model.
        family: to try an architecture as that belongs to none.

    Raises:
        DataError: no readable config.json, or an unknown architecture, quantised weights, or a
            folder that makes transformers read something else.
    """
    check_folder(folder)
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
    return config, family_of(config.architectures[0], family, lambda: _empty(config))


def _empty(config: Any) -> Any:
    """A model of this config whose weights take no memory; None if transformers makes none."""
    # To look at its blocks for an error message, so nothing may fail here.
    with suppress(Exception), torch.device("meta"):
        return getattr(transformers, config.architectures[0])._from_config(config)
    return None


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


def check_shape(
    folder: Path, shape: Mapping[str, Any], where: str, family: str | None = None
) -> None:
    """Compare the size that a configuration states with config.json; reads no weights.

    Args:
        folder: of the model.
        shape: any of layers, hidden, ffn, heads, kv_heads, vocabulary, tied.
        where: key of the configuration, for messages.
        family: to try an architecture as that belongs to none.

    Raises:
        DataError: a number differs; the message has both.
    """
    found = shape_of(folder, family)
    wrong = [key for key, value in shape.items() if found[key] != value]
    if wrong:
        told = ", ".join(f"{where}.{key} is {shape[key]}, found {found[key]}" for key in wrong)
        raise DataError(
            f"{told} in {folder}/config.json; correct the shape, or `repo` and `path` if this is "
            "not the model you mean"
        )


def shape_of(folder: Path, family: str | None = None) -> dict[str, Any]:
    """Size of the model in a folder, as the key ``shape`` of the configuration; reads no weights.

    Raises:
        DataError: as `read_architecture`.
    """
    config, record = read_architecture(folder, family)
    config = config.get_text_config()
    heads = config.num_attention_heads
    kv_heads = getattr(config, "num_key_value_heads", None) or getattr(config, "num_kv_heads", None)
    return {
        "layers": config.num_hidden_layers,
        "hidden": config.hidden_size,
        "ffn": config_width(config, record),
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
    for name in weight_files(folder):
        try:
            with safe_open(folder / name, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118 - the file is not a mapping
                    # Encoders of pictures have FFNs of their own.
                    if key.endswith(f"{family.ffn_out}.weight") and "vision" not in key:
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
            return getattr(transformers, config.architectures[0]).from_pretrained(
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
