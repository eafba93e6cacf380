"""What a finished job leaves beside each file it made: the digest of the file, and the job.

A receipt is the hidden file ``.<name>.receipt``, written after all outputs of the job. So a file
without one was never finished, or was made by somebody else; a file whose digest differs was
damaged or edited afterwards; one whose receipt tells of another name was moved. `caploc verify`
compares receipts with today's settings and code; Snakemake's own records, in ``.snakemake``, may be
lost.
"""

import glob
from pathlib import Path
from typing import Any

from caploc.files import store
from caploc.jobs.digests import file_digest
from caploc.jobs.job import Job
from caploc.records import DataError

__all__ = [
    "check_content",
    "check_inputs",
    "is_finished",
    "model_files",
    "named_files",
    "read_receipt",
    "receipt_of",
    "void",
    "write_receipts",
    "wrong_file",
]

_SUFFIX = ".receipt"
# Outputs that name further files, with the digest of each.
_NAME_FILES = ("manifest.json", "moments.json")
# Endings of the files of a model folder that transformers may read.
_READ = {".json", ".safetensors", ".txt", ".model", ".jinja", ".bpe", ".tiktoken", ".vocab"}
_KINDS = {"stage": str, "spec": dict, "code": str, "inputs": dict, "sha256": str,
          "output": str}  # fmt: skip
_AGAIN = "delete it and run the same snakemake command again, only this file is made anew"


def receipt_of(path: Path) -> Path:
    """Where the receipt of a file is."""
    return path.with_name(f".{path.name}{_SUFFIX}")


def read_receipt(path: Path) -> dict[str, Any] | None:
    """Origin (see `Job.origin`), ``sha256`` and ``output`` of a file, or None without a receipt.

    Raises:
        DataError: the receipt itself is damaged.
    """
    receipt = receipt_of(path)
    if not receipt.is_file():
        return None
    found = store.read_json(receipt)
    if not isinstance(found, dict) or {k: type(v) for k, v in found.items()} != _KINDS:
        raise DataError(f"{receipt}: damaged receipt; delete it and {path}, and run again")
    output = Path(found["output"])
    if path.parts[-len(output.parts) :] != output.parts:
        raise DataError(f"{path}: was moved here with its receipt, which is of {output}; {_AGAIN}")
    return found


def write_receipts(job: Job, origin: dict[str, Any]) -> None:
    """Write the receipt of every output of a job that has ended well.

    Args:
        job: the job; an output that is not there is left to Snakemake to complain about.
        origin: `Job.origin`, read before the job ran.
    """
    for path in job.outputs.values():
        if path.is_file():
            store.write_json(_receipt(path, origin), receipt_of(path))


def _receipt(path: Path, origin: dict[str, Any]) -> dict[str, Any]:
    # Without the name of the run: equal files of two runs have equal receipts.
    inside = path.parts[2:] if _of_a_run(path) else path.parts[-1:]
    return origin | {"sha256": file_digest(path), "output": "/".join(inside)}


def _of_a_run(path: Path) -> bool:
    """Whether a path is as the workflow names its files; other ones are given by hand."""
    return path.parts[:1] == ("results",) and len(path.parts) > 3


def void(job: Job) -> None:
    """Remove the receipts of outputs that are about to be made anew, and what a kill left of them.

    Call it where nobody else makes these outputs (see `exclusive.alone`).
    """
    for path in job.outputs.values():
        receipt_of(path).unlink(missing_ok=True)
        for name in (path.name, receipt_of(path).name):
            for part in path.parent.glob(f".{glob.escape(name)}.*.part"):
                part.unlink(missing_ok=True)


def is_finished(job: Job, origin: dict[str, Any]) -> bool:
    """Whether every output is there as this very job would make it."""
    for path in job.outputs.values():
        if not path.is_file():
            return False
        if read_receipt(path) != _receipt(path, origin):
            return False
    return True


def model_files(folder: Path) -> list[Path]:
    """Files of a model folder that transformers may read, by name."""
    return sorted(p for p in folder.iterdir() if p.is_file() and p.suffix in _READ)


def named_files(path: Path) -> list[tuple[Path, str]]:
    """Files that a manifest names, with their digests; none for any other file.

    Raises:
        DataError: it is damaged, or names a file that is not in its folder.
    """
    if path.name not in _NAME_FILES or not path.is_file():
        return []
    found = store.read_json(path)
    files = found.get("files", {}) if isinstance(found, dict) else None
    folder = Path(found.get("path", "")) if files is not None else None
    if not isinstance(files, dict) or folder is None:
        raise DataError(f"{path}: names no files; {_AGAIN}")
    for name in [*files, *([] if folder.is_absolute() else folder.parts)]:
        if name in ("", ".", "..") or "/" in name:
            raise DataError(f"{path}: names {name!r}, which is not inside its folder; {_AGAIN}")
    return [(path.parent / folder / name, digest) for name, digest in files.items()]


def wrong_file(manifest: Path) -> str | None:
    """The first file that differs from what its manifest says; None for any other file too.

    A file of a model that the manifest does not know is as wrong as a changed one: transformers
    reads what lies in the folder.

    Raises:
        DataError: as `named_files`.
    """
    named = dict(named_files(manifest))
    for path, digest in named.items():
        if not path.is_file():
            return f"{path}: is missing"
        if file_digest(path) != digest:
            return f"{path}: damaged or edited, its content is not what {manifest} says"
    # A model has a folder of its own; verification knows other files beside a manifest.
    for folder in {path.parent for path in named} - {manifest.parent}:
        if added := [path for path in model_files(folder) if path not in named]:
            return f"{added[0]}: was added since {manifest} was made, take it out"
    return None


def check_content(path: Path) -> dict[str, Any] | None:
    """The receipt of a file, which must be as its job left it, or None if it has none.

    Raises:
        DataError: the content of the file differs from its receipt.
    """
    found = read_receipt(path)
    if found is not None and found["sha256"] != file_digest(path):
        raise DataError(
            f"{path}: damaged or edited, its content is not what {found['stage']} wrote; {_AGAIN}"
        )
    return found


def check_inputs(job: Job) -> None:
    """Refuse an input that is not as its job left it, the weights that it names included.

    Raises:
        DataError: no job finished a file of a run, its content differs from its receipt or from
            the manifest naming it, or it has another place.
    """
    for path in (path for paths in job.inputs.values() for path in paths):
        if check_content(path) is None and _of_a_run(path):
            raise DataError(
                f"{path}: has no receipt, its job did not finish or somebody else made it; {_AGAIN}"
            )
        if (wrong := wrong_file(path)) is not None:
            raise DataError(f"{wrong}; or delete {path} and run the same snakemake command again")
