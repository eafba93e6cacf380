"""What a model folder may hold and name: nothing that makes transformers read other things."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from caploc.records import DataError

__all__ = ["check_folder", "weight_files"]

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
# Ways to compute that need no package beside transformers, or that we replace by our own choice.
_KNOWN = {
    "eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention", "grouped_mm",
    "batched_mm", "", None,
}  # fmt: skip
# Keys of config.json by which transformers reads other weights, or looks for packages and kernels.
_REFUSED = ("transformers_weights", "kernel_config", "use_kernels", "distributed_config")


def check_folder(folder: Path) -> None:
    """Refuse a folder whose files change the model without a word.

    Raises:
        DataError: an adapter beside the weights, which transformers would put in, or a key of
            config.json by which it would load other code or weights.
    """
    adapters = sorted(folder.glob("adapter_*"))
    if adapters:
        raise DataError(
            f"{folder}: holds an adapter ({adapters[0].name}) beside the model; merge it "
            "(merge_and_unload of peft, then save_pretrained), or take its files out of the folder"
        )
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return  # transformers says what is wrong with it
    for key, value in _keys(config):
        implementation = "implementation" in key
        wanted = value.values() if implementation and isinstance(value, dict) else [value]
        strange = [v for v in wanted if isinstance(v, dict | list) or v not in _KNOWN]
        if (key in _REFUSED and value) or (implementation and strange):
            raise DataError(
                f"{folder}/config.json: {key} is {json.dumps(value)[:60]}, which makes "
                "transformers load something that is not in this folder; take the key out"
            )


def _keys(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key at any depth, with its value."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    yield from value.items() if isinstance(value, dict) else ()
    for item in inner:
        yield from _keys(item)


def weight_files(folder: Path) -> list[str]:
    """Names of the files that hold the weights.

    Raises:
        DataError: a damaged index, one that names files outside the folder, or pickled weights.
    """
    # A single file goes before an index, as transformers takes it.
    if (folder / _INDEX).is_file() and not (folder / _SINGLE).is_file():
        try:
            index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
            found = sorted(set(index["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{folder / _INDEX}: not a list of weight files ({error}); copy it again"
            ) from None
        for name in found:
            if not isinstance(name, str) or "/" in name or not name.endswith(".safetensors"):
                raise DataError(
                    f"{folder / _INDEX}: names {name!r}; expected weights *.safetensors in this "
                    "folder itself, whose digests are recorded: copy them there"
                )
        return found
    pickled = sorted(folder.glob("*.bin"))
    if not (folder / _SINGLE).is_file() and pickled:
        raise DataError(
            f"{folder}: holds only pickled weights ({pickled[0].name}), which can run any program "
            "when they are read; expected safetensors. Convert the model once where you trust it, "
            "with from_pretrained and save_pretrained of transformers, and name that folder"
        )
    return [_SINGLE]
