"""Models from GGUF files: found by path, on the hub or in an installed package, dequantised once.

transformers reads the file and turns the quantised weights into ordinary ones; written as a folder
of config, tokenizer and safetensors, the model is then like any other. Its weights are those of the
quantised model: what was rounded away stays away.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from caploc.jobs.named_files import packaged_file
from caploc.models.hub import hub_file
from caploc.records import DataError
from caploc.shipped import lacking

__all__ = ["dequantise", "find_gguf"]

_MAGIC = b"GGUF"


def find_gguf(
    name: str, *, package: str | None = None, repo: str | None = None, revision: str | None = None
) -> tuple[Path, str]:
    """The file that a configuration names.

    Args:
        name: path of the file, or its name in the package or repository.
        package: installed Python package that holds it; it is looked up, never imported.
        repo: hub id of a repository that holds it.
        revision: commit, tag or branch of the repository; None means ``main``.

    Returns:
        The file, and what it came from: version of the package, commit, or "".

    Raises:
        DataError: no such file, package or repository, or no GGUF file.
    """
    origin = ""
    if package is not None:
        path, origin = packaged_file(package, name)
    elif repo is not None:
        path, origin = hub_file(repo, name, revision)
    else:
        path = Path(name).expanduser().resolve()
    if not path.is_file():
        raise DataError(f"{path}: no such file; `gguf` takes the path of a GGUF file")
    with path.open("rb") as handle:
        if handle.read(len(_MAGIC)) != _MAGIC:
            raise DataError(f"{path}: is no GGUF file (it does not begin with GGUF)")
    return path, origin


def dequantise(path: Path, folder: Path) -> dict[str, Any]:
    """Write a GGUF file as an ordinary folder of config, tokenizer and float32 safetensors.

    Args:
        path: GGUF file.
        folder: to make, or to overwrite.

    Returns:
        ``architecture`` and ``quantisation``, the number of tensors of each type, as the file has
        them.

    Raises:
        DataError: damaged file, an architecture or quantisation that transformers cannot read, or a
            tokenizer that cannot be rebuilt.
    """
    facts = _described(path)
    where: dict[str, Any] = {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name}
    try:
        config = AutoConfig.from_pretrained(**where)
        quantised = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    # The readers of transformers and gguf raise many types here; all mean the same to the user.
    except Exception as error:
        raise DataError(
            f"{path}: transformers cannot read this GGUF file (architecture "
            f"{facts['architecture']!r}: {_first_line(error)}); use a file of a known architecture "
            "and quantisation, or the model in its original form"
        ) from None
    try:
        tokenizer = AutoTokenizer.from_pretrained(**where)
    except Exception as error:
        raise DataError(
            f"{path}: the tokenizer cannot be rebuilt from this GGUF file ({_first_line(error)}); "
            "use the model in its original form"
        ) from None
    # The loaded model counts as quantised and cannot be saved; its weights in a fresh one can.
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.architectures = [type(quantised).__name__]
    model = type(quantised)(config)
    model.load_state_dict(quantised.state_dict())
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return facts


def _described(path: Path) -> dict[str, Any]:
    try:
        from gguf import GGUFReader

        reader = GGUFReader(path)
        field = reader.get_field("general.architecture")
        types = Counter(tensor.tensor_type.name for tensor in reader.tensors)
    except ModuleNotFoundError as error:
        raise DataError(f"{path}: {lacking(error)}") from None
    # A damaged file may fail in any way.
    except Exception as error:
        raise DataError(
            f"{path}: damaged GGUF file ({_first_line(error)}); copy or download it again"
        ) from None
    return {
        "architecture": field.contents() if field is not None else "",
        "quantisation": dict(sorted(types.items())),
    }


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
