"""Finished files of other runs, taken where this very job would make the same ones.

A receipt holds the settings, the code and the digests of all inputs of the job that made a file. If
they are equal to those of a job that is about to run, so is its result, and a copy saves the work:
a run with another experiment takes over the model and the scores of the run before it.
"""

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from caploc.files.atomic import atomic_path
from caploc.jobs.job import Job
from caploc.jobs.receipts import is_finished, named_files, write_receipts, wrong_file
from caploc.records import DataError

__all__ = ["VARIABLE", "other_runs", "taken_from"]

_LOG = logging.getLogger(__name__)
VARIABLE = "CAPLOC_REUSE"
"""Environment variable with the folders of other runs: no parameter, as no result depends on it."""
_PARTS = 2
"""``results/<run>``: what the path of an output begins with."""


def other_runs() -> list[Path]:
    """Folders of the runs that may be taken from, in order."""
    return [Path(name) for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]


def taken_from(job: Job, origin: dict[str, Any], runs: Sequence[Path]) -> Path | None:
    """Copy the outputs of a job from the first run that has them, and leave receipts.

    Args:
        job: about to run; its outputs are at ``results/<run>/...``.
        origin: `Job.origin` of it.
        runs: folders ``results/<other run>``.

    Returns:
        Folder of the run they were taken from; None if no run has every output, undamaged and made
        with equal settings, code and inputs.
    """
    for folder in runs:
        theirs = {n: folder.joinpath(*p.parts[_PARTS:]) for n, p in job.outputs.items()}
        there = Job(job.stage, job.spec, job.code, job.inputs, theirs)
        if not theirs or set(theirs.values()) & set(job.outputs.values()):
            continue
        if not _is_whole(there, origin):
            continue
        for name, path in job.outputs.items():
            # Files that a manifest names first: a manifest says that they are there. Those of a
            # model that somebody else keeps stay where they are.
            beside = theirs[name].parent
            for source, _ in named_files(theirs[name]):
                if source.is_relative_to(beside):
                    _copy(source, path.parent / source.relative_to(beside))
            _copy(theirs[name], path)
        write_receipts(job, origin)
        return folder
    return None


def _is_whole(job: Job, origin: dict[str, Any]) -> bool:
    try:
        return is_finished(job, origin) and not any(map(wrong_file, job.outputs.values()))
    except DataError as error:
        _LOG.warning("not taken over: %s", error)
        return False


def _copy(source: Path, target: Path) -> None:
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
