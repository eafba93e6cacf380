"""Write a model whose located neurons are erased, scaled or trained, as a Hugging Face folder.

    caploc apply --model FOLDER --mask FILE --scale 0 --out FOLDER     erased
    caploc apply --model FOLDER --mask FILE --scale 2 --out FOLDER     activation doubled
    caploc apply --model FOLDER --delta FILE --out FOLDER              trained slices put in

A mask or trained slices of another model are refused. The folder is written beside its name and
renamed, so it is there whole or not at all; plain transformers loads it.
"""

import argparse
import json
import logging
import math
import os
import shutil
from pathlib import Path
from typing import Any

from caploc.files import store
from caploc.files.masks import read_mask
from caploc.interventions.delta import put, read_delta
from caploc.interventions.scale import scaled
from caploc.jobs.digests import file_digest, weights_digest
from caploc.jobs.receipts import check_content
from caploc.models.hub import snapshot
from caploc.models.loading import LanguageModel, load_model, read_architecture
from caploc.records import DataError

__all__ = ["add_arguments", "run"]

_LOG = logging.getLogger(__name__)
_DTYPES = ("float32", "float64", "bfloat16", "float16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--model", required=True, help="model folder, or id on the hub")
    parser.add_argument("--revision", help="commit, tag or branch of a model on the hub")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--mask", type=Path, help="mask file: scale the activation of its neurons")
    what.add_argument("--delta", type=Path, help="file of trained slices: put them in")
    parser.add_argument(
        "--scale", type=float, default=0.0, help="with --mask: factor; 0 (default) erases"
    )
    parser.add_argument("--out", required=True, type=Path, help="folder to make")


def run(options: argparse.Namespace) -> None:
    """Check that model and neurons belong together, change the weights, save.

    Raises:
        DataError: an empty or edited mask, something of another model, a bad factor, an existing
            folder, or no space.
    """
    if options.out.exists():
        raise DataError(f"{options.out}: exists already; name a new folder with --out")
    if not math.isfinite(options.scale):
        raise DataError(f"--scale {options.scale}; expected a finite number")
    folder = Path(options.model).expanduser()
    if not folder.is_dir():
        if options.model.count("/") != 1:
            raise DataError(f"{folder}: no such folder; expected a folder of a transformers model")
        folder, _ = snapshot(options.model, options.revision)
    _check_origin(options.delta or options.mask)
    record: dict[str, Any] = {"model": str(options.model), "weights": _weights(folder)}
    lm = load_model(folder, dtype=_stored_dtype(folder))
    if options.delta is not None:
        delta = read_delta(options.delta)
        _same_model(options.delta, delta.facts["model"], record["weights"])
        put(lm, delta)
        record |= {"delta": file_digest(options.delta), "facts": delta.facts}
        _save(lm, options.out, record)
        return
    mask = read_mask(options.mask)
    if not mask.any():
        raise DataError(
            f"{options.mask}: the mask is empty, there is no neuron to change; lower its sigma"
        )
    facts = store.read_metadata(options.mask)
    _same_model(options.mask, facts.get("model") or {}, record["weights"])
    with scaled(lm, mask, options.scale):
        record |= {"mask": file_digest(options.mask), "scale": options.scale}
        _save(lm, options.out, record | {"neurons": int(mask.sum())})


def _check_origin(path: Path) -> None:
    if path.is_file() and check_content(path) is None:
        _LOG.warning("%s has no receipt beside it: nobody can tell whether it was edited", path)


def _weights(folder: Path) -> str:
    return weights_digest({p.name: file_digest(p) for p in folder.glob("*.safetensors")})


def _stored_dtype(folder: Path) -> str:
    config, _ = read_architecture(folder)
    name = str(config.dtype).removeprefix("torch.")
    return name if name in _DTYPES else "float32"


def _same_model(path: Path, described: dict[str, Any], weights: str) -> None:
    known = described.get("weights")
    if known is None:
        _LOG.warning("%s does not say which model it is of; only its size is checked", path)
    elif known != weights:
        name = described.get("repo") or described.get("model") or described.get("architecture")
        raise DataError(
            f"{path}: belongs to another model ({name}, commit {described.get('revision')}, "
            f"weights {known[:12]}); --model has weights {weights[:12]}. Name the folder it "
            "was made from"
        )


def _save(lm: LanguageModel, out: Path, record: dict[str, Any]) -> None:
    temporary = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        lm.model.save_pretrained(temporary)
        lm.tokenizer.save_pretrained(temporary)
        (temporary / "caploc.json").write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
        os.replace(temporary, out)
    except Exception as error:  # safetensors has its own errors for a full disk
        raise DataError(
            f"{out}: the model cannot be saved ({error}); free space or choose another folder"
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _LOG.info("wrote %s", out)
