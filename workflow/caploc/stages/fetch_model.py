"""Find a model in a local folder or on the hub and describe it; the weights stay where they are.

Settings: `FetchModel`. Output: ``manifest``,
with the commit that was found and the SHA-256 of every file.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caploc.files import store
from caploc.jobs.digests import file_digest
from caploc.jobs.job import Job
from caploc.models.hub import snapshot
from caploc.models.loading import check_shape, load_model
from caploc.records import DataError

__all__ = ["FetchModel", "run"]

_LOG = logging.getLogger(__name__)
_SUFFIXES = {".json", ".safetensors", ".txt", ".model", ".jinja"}


@dataclass(frozen=True, slots=True)
class FetchModel:
    """Find a model and describe it.

    Attributes:
        model: id
        repo: on the hub; null: in a folder
        path: of a local folder; null: on the hub
        family: that the weights must be of; null: any
        revision: of the repository; null: the newest
        dtype: of the weights
        shape: what the configuration says of its size
        content: digest of the local folder, so that another content is fetched anew
    """

    model: str
    dtype: str
    repo: str | None = None
    path: str | None = None
    family: str | None = None
    revision: str | None = None
    shape: dict[str, Any] | None = None
    content: str = ""


def run(job: Job) -> None:
    """Resolve, load once as a check, write the manifest last."""
    told = job.told(FetchModel)
    repo, path = told.repo, told.path
    if (repo is None) == (path is None):
        raise DataError(
            f"models.{told.model}: expected exactly one of `repo` and `path`, found "
            f"repo={repo!r}, path={path!r}"
        )
    commit = None
    if repo is not None:
        folder, commit = snapshot(repo, told.revision)
    else:
        folder = _local(str(path))
    check_shape(folder, told.shape or {}, f"models.{told.model}.shape")
    lm = load_model(folder, dtype=told.dtype)
    if (told.family or lm.family.name) != lm.family.name:
        raise DataError(
            f"models.{told.model}.family is {told.family!r}, {folder} holds a model of "
            f"family {lm.family.name!r}; correct the config"
        )
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.suffix in _SUFFIXES)
    store.write_json(
        {
            "model": told.model,
            "path": str(folder),
            "repo": repo,
            "revision": commit,
            "architecture": type(lm.model).__name__,
            "family": lm.family.name,
            "n_layers": lm.n_layers,
            "n_neurons": lm.n_neurons,
            "n_parameters": sum(p.numel() for p in lm.model.parameters()),
            "dtype": told.dtype,
            "files": {p.name: file_digest(p) for p in files},
            "trained": None,
            "origin": job.origin(),
        },
        job.outputs["manifest"],
    )
    _LOG.info("%s: %s, %d files", told.model, commit or folder.name, len(files))


def _local(path: str) -> Path:
    folder = Path(path).expanduser().resolve()
    if not folder.is_dir():
        raise DataError(
            f"models: path {path!r} is not a folder; expected config.json, tokenizer.json and "
            "*.safetensors in it"
        )
    return folder
