"""What the page is made from: settings, tables, manifests and digests of one run, as read."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from caploc import plugins
from caploc.files import store, tables
from caploc.jobs.digests import file_digest
from caploc.jobs.job import Job
from caploc.records import DataError
from caploc.report.registry import parts

__all__ = ["Inputs", "Row", "Source", "Task", "read_inputs"]

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """A data set of the run, as the page calls it."""

    id: str
    title: str
    capability: str


@dataclass(frozen=True, slots=True)
class Source:
    """A file the page rests on: its name, SHA-256, and the digest of the code that made it."""

    name: str
    digest: str
    code: str


@dataclass(frozen=True, slots=True)
class Inputs:
    """One run.

    Attributes:
        spec: settings of the stage (run, title, config, models, methods, masks, ...).
        tasks: data sets of the tables and figures, in the order of the config.
        neutral: the text without a capability, None if the run has none.
        tables: every table by its name, with the columns that the parts of the page declare; one
            of an experiment that the run does not have is empty.
        manifests: manifest of every model, by its id.
        losses: ``step`` and ``loss``, training curve of the models trained here, by model id.
        splits: the check that no prompt occurs in two splits: ``a``, ``b`` and number ``shared``.
        files: further files of the job, by name.
        sources: files read, in a fixed order.
    """

    spec: Mapping[str, Any]
    tasks: tuple[Task, ...]
    neutral: Task | None
    tables: Mapping[str, pl.DataFrame]
    manifests: Mapping[str, Row]
    losses: Mapping[str, pl.DataFrame]
    splits: pl.DataFrame
    files: Mapping[str, Path]
    sources: tuple[Source, ...]

    def title(self, dataset: str) -> str:
        """How the page calls a data set or reference; its id if it is not one of the run."""
        known = [*self.tasks, *([self.neutral] if self.neutral else [])]
        base = dataset.removesuffix(".shuffled")
        title = next((task.title for task in known if task.id == base), base)
        return title if base == dataset else f"{title}, answers shuffled"


def read_inputs(job: Job) -> Inputs:
    """Read every input file of the stage.

    Raises:
        DataError: a file is missing, damaged or lacks a column.
    """
    spec = job.spec
    neutral = spec.get("neutral")
    return Inputs(
        spec=spec,
        tasks=_distinct([_task(entry) for entry in spec["tasks"] if entry["id"] != neutral]),
        neutral=_neutral(spec),
        tables=_tables(job),
        manifests={m["model"]: m for m in map(_manifest, job.inputs.get("models", []))},
        losses={path.parent.name: _loss(path) for path in job.inputs.get("losses", [])},
        splits=_splits(job.input("splits")),
        files={name: paths[0] for name, paths in job.inputs.items() if paths},
        sources=tuple(_sources(job)),
    )


def _tables(job: Job) -> dict[str, pl.DataFrame]:
    schemas = {name: schema for part in parts() for name, schema in part.module.TABLES.items()}
    optional = {name for names in plugins.declared("TABLES").values() for name in names}
    return {
        name: tables.read(job.input(name), schema)
        if name not in optional or job.inputs.get(name)
        else pl.DataFrame(schema=dict(schema))
        for name, schema in schemas.items()
    }


def _task(entry: Mapping[str, Any]) -> Task:
    title, capability = entry.get("title"), entry.get("capability")
    if not (title and capability) and "plugin" in entry:
        plugin = plugins.load("tasks", entry["plugin"]).TASK
        title, capability = title or plugin.title, capability or plugin.capability
    return Task(entry["id"], title or entry["id"], capability or "")


def _distinct(tasks: list[Task]) -> tuple[Task, ...]:
    """Figures name data sets by title, so equal titles get their ids."""
    titles = Counter(task.title for task in tasks)
    return tuple(
        replace(task, title=f"{task.title} ({task.id})") if titles[task.title] > 1 else task
        for task in tasks
    )


def _neutral(spec: Mapping[str, Any]) -> Task | None:
    if spec.get("neutral") is None:
        return None
    entry = next((task for task in spec["tasks"] if task["id"] == spec["neutral"]), None)
    return _task(entry) if entry else Task(spec["neutral"], "Neutral text", "")


def _manifest(path: Path) -> Row:
    manifest = store.read_json(path)
    for key in ("model", "n_layers", "n_neurons"):
        if key not in manifest:
            raise DataError(f"{path}: key {key!r} is missing; delete the file and run again")
    return manifest


def _splits(path: Path) -> pl.DataFrame:
    report = store.read_json(path)
    if not isinstance(report, dict) or "pairs" not in report:
        raise DataError(f"{path}: key 'pairs' is missing; delete the file and run again")
    schema = {"a": pl.String, "b": pl.String, "shared": pl.Int64}
    return pl.DataFrame(report["pairs"], schema=schema)


def _loss(path: Path) -> pl.DataFrame:
    return tables.read(path, {"step": pl.Int32, "loss": pl.Float64})


def _sources(job: Job) -> list[Source]:
    sources = []
    for name in sorted(job.inputs):
        for path in job.inputs[name]:
            code = ""
            if path.suffix == ".parquet":
                code = store.read_metadata(path).get("origin", {}).get("code", "")
            label = f"{path.parent.name}/{path.name}"
            sources.append(Source(label, file_digest(path), code))
    return sources
