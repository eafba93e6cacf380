"""Local data looked at while the configuration is read: its faults are told before any job.

Files of a few MB are prepared as the jobs will prepare them, and the result is thrown away; larger
ones are left to the jobs.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from caploc import plugins
from caploc.config import check
from caploc.jobs.named_files import named_files
from caploc.jobs.run import Run
from caploc.records import DataError, Sample
from caploc.samples.fact_preparation import choose
from caploc.samples.preparation import Split, prepare

__all__ = ["check_data", "checked_run", "local_splits"]

_MOST_BYTES = 4 * 2**20


def checked_run(config: dict[str, Any]) -> tuple[Run, list[str]]:
    """The run of a configuration, with everything looked at that needs no job.

    Returns:
        The run, and what a user should know of its data, one line each.

    Raises:
        DataError: a wrong key or value, a missing file, data or a model folder that cannot be used.
    """
    run = Run(check(config))
    run.check_files()
    return run, check_data(run)


def local_splits(run: Run) -> dict[str, dict[str, Split]]:
    """Splits of the tasks of a run whose rows stand in small local files, by task.

    Raises:
        DataError: data that cannot be used; the message names the key, the file and the line.
    """
    found = {}
    for name in run.tasks:
        entry = run.config["tasks"][name]
        if _small(entry):
            task = plugins.load("tasks", entry["plugin"]).TASK
            with _named(f"tasks.{name}"):
                found[name] = prepare(
                    task, entry | {"task": name}, entry["samples"], run.settings["seed"]
                )
    return found


def check_data(run: Run) -> list[str]:
    """What a user should know of the local data of a run, one line each.

    Raises:
        DataError: as `local_splits`; and no usable fact.
    """
    notes: list[str] = []
    seed, least = run.settings["seed"], run.settings["minimum_samples"]
    for name, splits in local_splits(run).items():
        notes += (f"tasks.{name}: {note}" for note in _of_task(splits, least))
    for name in run.facts:
        entry = run.config["facts"][name]
        if _small(entry):
            with _named(f"facts.{name}"):
                read = plugins.load("facts", entry["plugin"]).FACTS.read(entry).facts
                chosen = choose(read, entry["n"], seed)
            if chosen.dropped:
                notes.append(f"facts.{name}: {_left_out(chosen.dropped)}")
    return notes


@contextmanager
def _named(key: str) -> Iterator[None]:
    """A fault inside is told with the key of the configuration."""
    try:
        yield
    except DataError as error:
        raise DataError(f"config {key}: {error}") from None


def _small(entry: Mapping[str, Any]) -> bool:
    paths = [Path(name).expanduser() for name in named_files(entry.get("files"))]
    return bool(paths) and sum(_bytes(path) for path in paths) <= _MOST_BYTES


def _bytes(path: Path) -> int:
    inside = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return sum(file.stat().st_size for file in inside if file.exists())


def _of_task(splits: Mapping[str, Split], least: int) -> Iterator[str]:
    dropped = sum((split.dropped for split in splits.values()), start=Counter[str]())
    if dropped:
        yield _left_out(dropped)
    short = [n for n, s in splits.items() if len(s.samples) < min(s.wanted, least)]
    if short:
        shown = ", ".join(f"{n} {len(splits[n].samples)} of {splits[n].wanted}" for n in short)
        yield (
            f"too few rows for all that was asked ({shown}; a comparison needs {least}): it will "
            "say 'not computed'; add rows, or lower `samples` of the other splits"
        )
    samples = [sample for split in splits.values() for sample in split.samples]
    if samples and sum(map(_melts, samples)) > len(samples) / 2:
        yield (
            f"prompts end and answers begin without a space ({samples[0].prompt[-12:]!r}, "
            f"{samples[0].answer[:12]!r}): both melt into one word; begin `answer` with a space"
        )


def _melts(sample: Sample) -> bool:
    return sample.prompt[-1:].isalnum() and sample.answer[:1].isalnum()


def _left_out(dropped: Mapping[str, int]) -> str:
    told = ", ".join(f"{n} x {reason}" for reason, n in sorted(dropped.items()))
    return f"{sum(dropped.values())} rows are left out ({told})"
