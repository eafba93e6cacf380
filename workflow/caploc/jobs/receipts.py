"""What a finished job leaves beside each file it made: the digest of the file, and the job.

A receipt is the hidden file ``.<name>.receipt``, written after all outputs of the job. So a file
without one was never finished, or was made by somebody else; a file whose digest differs was
damaged or edited afterwards. `caploc verify` compares receipts with today's settings and code;
Snakemake's own records, in ``.snakemake``, may be lost.
"""

import glob
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from caploc.files import store
from caploc.jobs.digests import file_digest
from caploc.jobs.job import Job
from caploc.records import DataError

__all__ = [
    "check_inputs",
    "is_finished",
    "named_files",
    "read_receipt",
    "receipt_of",
    "void",
    "write_receipts",
]

_SUFFIX = ".receipt"
# Outputs that name further files, with the digest of each.
_NAME_FILES = ("manifest.json", "moments.json")


def receipt_of(path: Path) -> Path:
    """Where the receipt of a file is."""
    return path.with_name(f".{path.name}{_SUFFIX}")


def read_receipt(path: Path) -> dict[str, Any] | None:
    """Origin (see `Job.origin`) and ``sha256`` of a file, or None if it has no receipt.

    Raises:
        DataError: the receipt itself is damaged.
    """
    receipt = receipt_of(path)
    if not receipt.is_file():
        return None
    found = store.read_json(receipt)
    if not isinstance(found, dict) or not {"stage", "spec", "code", "inputs", "sha256"} <= set(
        found
    ):
        raise DataError(f"{receipt}: damaged receipt; delete it and {path}, and run again")
    return found


def write_receipts(job: Job, origin: dict[str, Any]) -> None:
    """Write the receipt of every output of a job that has ended well.

    Args:
        job: the job; an output that is not there is left to Snakemake to complain about.
        origin: `Job.origin`, read before the job ran.
    """
    for path in job.outputs.values():
        if path.is_file():
            store.write_json(origin | {"sha256": file_digest(path)}, receipt_of(path))


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
        found = read_receipt(path)
        if found is None or found != origin | {"sha256": file_digest(path)}:
            return False
    return True


def named_files(path: Path) -> Iterator[tuple[Path, str]]:
    """Files that a manifest names, with their digests; none for any other file."""
    if path.name not in _NAME_FILES:
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    folder = path.parent / found.get("path", "")
    for name, digest in found.get("files", {}).items():
        yield folder / name, digest


def check_inputs(job: Job) -> None:
    """Refuse an input that is no longer what its job wrote, the weights that it names included.

    Raises:
        DataError: the content of a file differs from its receipt, or from the manifest naming it.
    """
    for path in (path for paths in job.inputs.values() for path in paths):
        found = read_receipt(path)
        if found is not None and found["sha256"] != file_digest(path):
            raise DataError(
                f"{path}: damaged or edited, its content is not what {found['stage']} wrote; "
                "delete it and run the same snakemake command again, only this file is made anew"
            )
        for file, digest in named_files(path):
            if file_digest(file) != digest:
                raise DataError(
                    f"{file}: damaged or edited, its content is not what {path} says; delete "
                    f"{path} and run the same snakemake command again"
                )
