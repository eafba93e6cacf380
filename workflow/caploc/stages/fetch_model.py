"""Find a model in a folder, on the hub or in a GGUF file, and describe it.

Weights of a folder or the hub stay where they are; those of a GGUF file are dequantised and written
beside the manifest. Settings: `FetchModel`. Output: ``manifest``, with the commit that was found
and the SHA-256 of every file.
"""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caploc.attribution.injection import SITES
from caploc.attribution.model_check import check_model
from caploc.files import store
from caploc.jobs.digests import file_digest
from caploc.jobs.job import Job
from caploc.jobs.receipts import model_files
from caploc.models.chat import template_digest
from caploc.models.gguf_files import dequantise, find_gguf
from caploc.models.hub import snapshot
from caploc.models.loading import check_shape, load_model
from caploc.records import DataError

__all__ = ["FetchModel", "run"]

_LOG = logging.getLogger(__name__)
# Beside the manifest, as for a model that was trained here.
_FOLDER = "hf"


@dataclass(frozen=True, slots=True)
class FetchModel:
    """Find a model and describe it.

    Attributes:
        model: id
        repo: on the hub
        path: of a local folder
        gguf: GGUF file: path, or name in `repo` or `package`
        package: installed, holds the GGUF file
        family: that the weights must be of; null: any
        revision: of the repository; null: the newest
        dtype: of the weights
        shape: what the configuration says of its size
        content: digest of the local folder or file, or version of the package, so that another
            content is fetched anew
    """

    model: str
    dtype: str
    repo: str | None = None
    path: str | None = None
    gguf: str | None = None
    package: str | None = None
    family: str | None = None
    revision: str | None = None
    shape: dict[str, Any] | None = None
    content: str = ""


def run(job: Job) -> None:
    """Resolve, load once as a check, write the manifest last."""
    told = job.told(FetchModel)
    folder, origin = _found(told, job.outputs["manifest"].parent)
    check_shape(folder, told.shape or {}, f"models.{told.model}.shape", told.family)
    lm = load_model(folder, dtype=told.dtype, family=told.family)
    for site in SITES if lm.tried else ():
        check_model(lm, site)
    if (told.family or lm.family.name) != lm.family.name:
        raise DataError(
            f"models.{told.model}.family is {told.family!r}, {folder} holds a model of "
            f"family {lm.family.name!r}; correct the config"
        )
    files = model_files(folder)
    store.write_json(
        {
            "model": told.model,
            "path": str(folder) if told.gguf is None else _FOLDER,
            "repo": told.repo,
            "architecture": type(lm.model).__name__,
            "family": lm.family.name,
            "n_layers": lm.n_layers,
            "n_neurons": lm.n_neurons,
            "n_parameters": sum(p.numel() for p in lm.model.parameters()),
            "dtype": told.dtype,
            "chat_template": template_digest(lm.tokenizer),
            "files": {p.name: file_digest(p) for p in files},
            "trained": None,
            "origin": job.origin(),
        }
        | origin,
        job.outputs["manifest"],
    )
    _LOG.info("%s: %s, %d files", told.model, origin["revision"] or folder.name, len(files))


def _found(told: FetchModel, beside: Path) -> tuple[Path, dict[str, Any]]:
    """Folder of the model, and what the manifest says about where it comes from."""
    if told.gguf is not None:
        path, version = find_gguf(
            told.gguf, package=told.package, repo=told.repo, revision=told.revision
        )
        shutil.rmtree(beside / _FOLDER, ignore_errors=True)
        described = dequantise(path, beside / _FOLDER)
        quantised = {"file": path.name, "sha256": file_digest(path), "package": told.package}
        return beside / _FOLDER, {"revision": version or None, "gguf": quantised | described}
    if told.repo is not None:
        folder, commit = snapshot(told.repo, told.revision)
        return folder, {"revision": commit}
    return _local(str(told.path)), {"revision": None}


def _local(path: str) -> Path:
    folder = Path(path).expanduser().resolve()
    if not folder.is_dir():
        raise DataError(
            f"models: path {path!r} is not a folder; expected config.json, tokenizer.json and "
            "*.safetensors in it"
        )
    return folder
