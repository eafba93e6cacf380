"""The contract of a set of facts, and what several of them share."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from caploc.jobs.digests import file_digest
from caploc.records import DataError, Dropped, Fact
from caploc.samples.source import read_parts
from caploc.samples.task import HubSource, text_of

__all__ = [
    "FactSet",
    "Reading",
    "Rows",
    "digests",
    "folder_of",
    "read_rows",
    "text",
    "texts",
]


@dataclass(slots=True)
class Reading:
    """A data set as read.

    Attributes:
        facts: in the order of the data set; `Dropped` in place of what cannot be used.
        sources: what identifies the data, for the metadata of the file that is made of it.
    """

    facts: list[Fact | Dropped]
    sources: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FactSet:
    """One set of facts.

    Attributes:
        title: name for the report.
        read: ``read(settings)``; settings are the keys of ``facts.<id>`` in the config.
    """

    title: str
    read: Callable[[Mapping[str, Any]], Reading]


@dataclass(frozen=True, slots=True)
class Rows:
    """A data set of one row a fact.

    Attributes:
        title: name for messages.
        source: where rows come from unless the config names files or a repository.
        columns: columns that each row must have.
    """

    title: str
    source: HubSource | None
    columns: tuple[str, ...]
    labels: tuple[str, ...] = ()


def read_rows(
    rows: Rows,
    settings: Mapping[str, Any],
    to_fact: Callable[[int, Mapping[str, Any]], Fact],
) -> Reading:
    """Read a data set of one row a fact.

    Args:
        rows: what is read.
        settings: keys of the config.
        to_fact: index and row to a fact; raises `Dropped` for a row that cannot be used.

    Raises:
        DataError: as `read_parts`.
    """
    reading = Reading([])
    for part in read_parts(rows, settings):
        reading.sources.append(part.origin)
        for row in part.rows:
            try:
                reading.facts.append(to_fact(len(reading.facts), row))
            except Dropped as reason:
                reading.facts.append(reason)
    return reading


def text(row: Mapping[str, Any], name: str) -> str:
    """The text of a column that every fact needs.

    Raises:
        Dropped: the column is missing, null or empty, or holds no text.
    """
    found = text_of(_first(row.get(name)), name)
    if not found.strip():
        raise Dropped(f"no {name!r}")
    return found


def texts(row: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The texts of a column that a fact may lack: one text, or a list; empty ones are left out.

    Raises:
        Dropped: the column holds something that is no text.
    """
    values = row.get(name)
    found = (text_of(value, name) for value in (values if isinstance(values, list) else [values]))
    return tuple(value for value in found if value.strip())


def _first(value: Any) -> Any:
    """The first of several right answers."""
    while isinstance(value, list):
        value = value[0] if value else None
    return value


def folder_of(title: str, settings: Mapping[str, Any], wanted: Iterable[str]) -> list[Path]:
    """Files of a data set that comes as a folder, from ``files`` or a hub repository.

    Args:
        title: name for messages.
        settings: keys of the config; ``files`` is the folder (or a file in it).
        wanted: glob patterns relative to the folder; the first that matches counts.

    Returns:
        Files in order of name.

    Raises:
        DataError: no folder, or none of the files in it.
    """
    if settings.get("files") is not None:
        folder = Path(str(settings["files"])).expanduser()
        if folder.is_file():
            return [folder]
    elif settings.get("repo") is not None:
        folder = _snapshot(str(settings["repo"]), settings.get("revision") or "main")
    else:
        raise DataError(
            f"facts {title!r} have no data set of their own: set `files` to the folder with local "
            "copies, or `repo` to a data-set repository of the Hugging Face hub, in the config"
        )
    patterns = list(wanted)
    for pattern in patterns:
        found = sorted(path for path in folder.glob(pattern) if path.is_file())
        if found:
            return found
    raise DataError(
        f"{folder}: holds none of {', '.join(patterns)}; `files` must be the folder of {title} as "
        "published"
    )


def digests(paths: Iterable[Path]) -> list[dict[str, str]]:
    """What identifies local files."""
    return [{"file": path.name, "sha256": file_digest(path)} for path in paths]


def _snapshot(repo: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repo, repo_type="dataset", revision=revision))
    # The library and its network layers raise many types here; all mean the same to the user.
    except Exception as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise DataError(
            f"data set {repo} at {revision!r} cannot be fetched from the Hugging Face hub "
            f"({reason}); check the network and `repo`, `revision`, or set `files` to a local copy"
        ) from None
