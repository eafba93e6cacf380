"""Partial work of a job, kept beside its output until that is finished.

Snakemake removes the outputs of a job that was killed; the hidden folder ``.<name>.work`` beside
the first output is none, so the same job goes on with it. A job with other settings, code or inputs
begins anew, and so does one that finds a file that is not as `sealed` left it.
"""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from caploc.files import store
from caploc.jobs.digests import canonical_json, file_digest
from caploc.jobs.job import Job

__all__ = ["partial_work", "sealed"]

_LOG = logging.getLogger(__name__)
_OWNER = "job.json"
_SEAL = ".sum"


@contextmanager
def partial_work(job: Job) -> Iterator[Path]:
    """Folder for what a job has done so far; it is removed when the context ends well.

    Write the outputs inside the context, so that a job killed in between loses nothing. What is in
    the folder must be written by way of `sealed`: a kill leaves whole files, and one that was
    changed since is seen.

    Args:
        job: the job; its first output names the folder.

    Yields:
        The folder: empty, or with what this very job left there.
    """
    output = next(iter(job.outputs.values()))
    folder = output.with_name(f".{output.name}.work")
    owner = canonical_json(job.origin())
    found = folder / _OWNER
    mine = found.is_file() and found.read_bytes() == owner.encode()
    damaged = _damaged(folder, found) if mine else None
    if not mine or damaged:
        if folder.exists():
            why = f"{damaged} is not what was written" if damaged else "it is of another job"
            _LOG.warning("%s: partial work is dropped, %s", folder, why)
            shutil.rmtree(folder)
        store.write_text(owner, found)
    elif len(list(folder.iterdir())) > 1:
        _LOG.info("%s: going on with the work of an earlier attempt", folder)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def sealed(path: Path) -> Iterator[Path]:
    """`store.atomic_path` for a file of partial work, its digest kept beside it."""
    seal = path.with_name(path.name + _SEAL)
    with store.atomic_path(path) as temporary:
        yield temporary
        # Before the new content has its name the old one counts, too.
        before = seal.read_text(encoding="utf-8").split()[-1:] if seal.is_file() else []
        store.write_text("\n".join([*before, file_digest(temporary)]), seal)


def _damaged(folder: Path, owner: Path) -> Path | None:
    """The first file that carries no digest of its content."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or path == owner or path.suffix in (_SEAL, ".part"):
            continue
        seal = path.with_name(path.name + _SEAL)
        if not seal.is_file() or file_digest(path) not in seal.read_text(errors="replace").split():
            return path
    return None
