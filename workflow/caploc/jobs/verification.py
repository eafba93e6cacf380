"""Is every file of a run undamaged, and what today's settings and code would make?

The files are compared with the receipts that their jobs left.
"""

import json
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from caploc.jobs.digests import file_digest
from caploc.jobs.job import Job
from caploc.jobs.receipts import named_files, read_receipt, receipt_of, wrong_file
from caploc.records import DataError

__all__ = ["BAD", "Finding", "findings", "remedies"]

BAD = ("damaged", "foreign", "stale")
"""Kinds of findings that must be mended; "left over" is only in the way."""
# More files than this are named by their rules in the command that mends them.
_MANY = 40
# Written by Snakemake, or with times in them: no job's output.
_UNTRACKED = ("timings", "config.json")


@dataclass(frozen=True, slots=True)
class Finding:
    """One file that is not as it should be.

    Attributes:
        path: the file.
        kind: ``damaged`` (not what its job wrote), ``foreign`` (no finished job made it), ``stale``
            (other settings, code or inputs than today's) or ``left over`` (nobody needs it).
        reason: what was found.
        job: the job that makes it anew, None if there is none.
        follows: whether it is stale only because one of its inputs is.
    """

    path: Path
    kind: str
    reason: str
    job: Job | None = None
    follows: bool = False


def remedies(found: Iterable[Finding], configfiles: Sequence[str] = ()) -> list[str]:
    """The commands that mend what was found."""
    found = list(found)
    again = {
        str(next(iter(f.job.outputs.values()))): f.job.rule or f.job.stage
        for f in found
        if f.job is not None and not f.follows
    }
    lines = []
    if again:
        targets = sorted(again) if len(again) <= _MANY else sorted(set(again.values()))
        words = ["snakemake", "--cores", "all"]
        words += ["--configfile", *configfiles] if configfiles else []
        lines.append("make anew: " + shlex.join([*words, "--forcerun", *targets]))
    for kind in ("foreign", "left over"):
        unwanted = [str(f.path) for f in found if f.job is None and f.kind == kind]
        if unwanted:
            lines.append(f"remove what is {kind}: " + shlex.join(["rm", "-r", *unwanted]))
    return lines


def findings(jobs: Sequence[Job]) -> list[Finding]:
    """What is wrong with the files of a run.

    Args:
        jobs: all jobs of today's configuration and code.

    Returns:
        Findings, sorted by kind and path. Files that are not there are no findings.

    Raises:
        DataError: there are no jobs, or their files lie in several runs.
    """
    roots = {Path(*path.parts[:2]) for job in jobs for path in job.outputs.values()}
    if len(roots) != 1:
        raise DataError(f"expected jobs of one run, found {len(jobs)} jobs in {len(roots)} folders")
    review = _Review(jobs)
    found = [finding for job in jobs for finding in review.of(job)]
    found += _strangers(roots.pop(), jobs)
    return sorted(found, key=lambda f: ((*BAD, "left over").index(f.kind), f.path))


@dataclass
class _Review:
    """Findings of each job, those of the jobs it depends on first."""

    jobs: Sequence[Job]
    done: dict[int, list[Finding]] = field(default_factory=dict)
    makers: dict[Path, Job] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.makers = {path: job for job in self.jobs for path in job.outputs.values()}

    def of(self, job: Job) -> list[Finding]:
        if id(job) not in self.done:
            there = [path for path in job.outputs.values() if path.is_file()]
            own = [
                Finding(path, *problem, job=job)
                for path in there
                if (problem := _problem(path, job)) is not None
            ]
            if not own and (source := self._bad_source(job)) is not None:
                own = [
                    Finding(path, "stale", f"made from {source}", job, follows=True)
                    for path in there
                ]
            if not own:
                own = [
                    Finding(path, "stale", reason, job)
                    for path in there
                    if (reason := _changed_input(path, job)) is not None
                ]
            self.done[id(job)] = own
        return self.done[id(job)]

    def _bad_source(self, job: Job) -> Path | None:
        for path in (path for paths in job.inputs.values() for path in paths):
            maker = self.makers.get(path)
            for finding in self.of(maker) if maker is not None else []:
                if finding.path == path:
                    return path
        return None


def _problem(path: Path, job: Job) -> tuple[str, str] | None:
    """Kind and reason, if a file is not what a job would make of its inputs as they are."""
    try:
        receipt = read_receipt(path)
        if receipt is None:
            return "foreign", "has no receipt: its job did not finish, or somebody else made it"
        if receipt["sha256"] != file_digest(path):
            return "damaged", f"its content is not what {receipt['stage']} wrote"
        damage = wrong_file(path)
    except DataError as error:
        return "damaged", str(error)
    if damage is not None:
        return "damaged", damage
    if receipt["stage"] != job.stage:
        return "foreign", f"made by {receipt['stage']}, today {job.stage} makes it"
    if receipt["spec"] != job.spec:
        return "stale", f"settings have changed: {_difference(receipt['spec'], job.spec)}"
    if receipt["code"] != job.code:
        return "stale", f"the code of {job.stage} has changed"
    return None


def _changed_input(path: Path, job: Job) -> str | None:
    """What is different about the inputs; an input that was removed cannot be compared."""
    recorded = (read_receipt(path) or {}).get("inputs", {})
    for name, paths in job.inputs.items():
        digests = recorded.get(name, [])
        if len(digests) != len(paths):
            return f"made from {len(digests)} files {name!r}, today there are {len(paths)}"
        for source, digest in zip(paths, digests, strict=True):
            if source.is_file() and file_digest(source) != digest:
                return f"its input {source} has changed since"
    return None


def _difference(before: Any, now: Any, where: str = "") -> str:
    """The first setting that differs, with both values."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key) or (key in before) != (key in now):
                return _difference(before.get(key), now.get(key), f"{where}.{key}".lstrip("."))
    shown = [
        text if len(text) <= 60 else text[:57] + "..." for text in map(json.dumps, (before, now))
    ]
    return f"{where} was {shown[0]}, now {shown[1]}"


def _strangers(root: Path, jobs: Sequence[Job]) -> Iterator[Finding]:
    """Files in the folder of a run that no job makes."""
    outputs = {path for job in jobs for path in job.outputs.values()}
    expected = outputs | {receipt_of(path) for path in outputs}
    with suppress(DataError):  # which is told as damage of the manifest
        expected |= {path for output in outputs for path, _ in named_files(output)}
    # The files of a model belong to its manifest, which says what is wrong with them.
    models = {path.parent for path in outputs if path.name == "manifest.json"}
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        if path.is_dir() or path in expected or inside.parts[0] in _UNTRACKED:
            continue
        if any(part.startswith(".") and part.endswith(".work") for part in inside.parts):
            continue  # partial work of a job that will go on with it
        if not models.isdisjoint(path.parents) and path.parent not in models:
            continue
        if path.name.startswith(".") and path.name.endswith((".part", ".lock")):
            yield Finding(path, "left over", "of a job that was killed")
        elif path.name.startswith(".") and path.name.endswith(".receipt"):
            # The receipt of a left-over file goes with it.
            yield Finding(path, "left over", "the receipt of a file that no job makes")
        else:
            yield _stranger(path)


def _stranger(path: Path) -> Finding:
    try:
        receipt = read_receipt(path)
    except DataError:
        receipt = None
    if receipt is None or receipt["sha256"] != file_digest(path):
        return Finding(path, "foreign", "no job of this configuration made it")
    reason = f"made by {receipt['stage']}, no job of today's configuration makes it"
    return Finding(path, "left over", reason)
