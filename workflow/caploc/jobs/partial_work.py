"""Partial work of a job, kept beside its output until that is finished.

Snakemake removes the outputs of a job that was killed; the hidden folder ``.<name>.work`` beside
the first output is none, so the same job goes on with it. A job with other settings, code or inputs
begins anew.
"""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from caploc.files import store
from caploc.jobs.digests import canonical_json
from caploc.jobs.job import Job

__all__ = ["partial_work"]

_LOG = logging.getLogger(__name__)
_OWNER = "job.json"


@contextmanager
def partial_work(job: Job) -> Iterator[Path]:
    """Folder for what a job has done so far; it is removed when the context ends well.

    Write the outputs inside the context, so that a job killed in between loses nothing. What is in
    the folder must be written by `store.atomic_path`: a kill leaves whole files.

    Args:
        job: the job; its first output names the folder.

    Yields:
        The folder: empty, or with what this very job left there.
    """
    output = next(iter(job.outputs.values()))
    folder = output.with_name(f".{output.name}.work")
    owner = canonical_json(job.origin())
    found = folder / _OWNER
    if not found.is_file() or found.read_text(encoding="utf-8") != owner:
        if folder.exists():
            _LOG.info("%s: partial work of another job is dropped", folder)
            shutil.rmtree(folder)
        store.write_text(owner, found)
    elif len(list(folder.iterdir())) > 1:
        _LOG.info("%s: going on with the work of an earlier attempt", folder)
    yield folder
    shutil.rmtree(folder)
