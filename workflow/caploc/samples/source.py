"""Rows of a data set: from the hub, or from local files in the usual formats."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from caploc.jobs.digests import file_digest
from caploc.records import DataError
from caploc.samples.local_files import format_of, read_file
from caploc.samples.task import HubSource

__all__ = ["Described", "Part", "read_parts"]

_ALL = "all"


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that belong together.

    Attributes:
        split: name the data set gives them; also a column of that name, unless there is one.
        where: file or hub address, for messages.
        origin: what identifies the content: digest of the file, or the revision.
        rows: columns under the names the task uses.
    """

    split: str
    where: str
    origin: dict[str, str]
    rows: Iterable[dict[str, Any]]


class Described(Protocol):
    """What reading needs to know of a data set."""

    @property
    def title(self) -> str:
        """Name for messages."""

    @property
    def source(self) -> HubSource | None:
        """Where rows come from unless the config says otherwise."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that each row must have."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Words for label numbers; empty where the words of the data set count."""


def read_parts(task: Described, settings: Mapping[str, Any]) -> Iterator[Part]:
    """Read all rows of a task.

    Args:
        task: says which columns must be there.
        settings: keys of the config: ``files``, ``format``, ``header``, ``columns``, ``repo``,
            ``revision``; without ``files`` and ``repo`` the task's own repository is read.

    Raises:
        DataError: missing or unreadable file, unknown format, missing column, no rows.
    """
    if settings.get("files") is not None:
        for split, path in _named_files(settings["files"]):
            kind = format_of(path, settings.get("format"))
            data = read_file(path, kind, settings.get("header"))
            origin = {"file": path.name, "sha256": file_digest(path)}
            yield _part(task, settings, data, split, str(path), origin)
        return
    source = task.source
    if settings.get("repo") is not None:
        same = source is not None and source.repo == settings["repo"]
        if not same:
            source = HubSource(settings["repo"], None, (), task.columns)
    if source is not None and Path(source.repo).expanduser().exists():
        # The library would read the folder, and nobody could tell which content it had.
        raise DataError(
            f"`repo` {source.repo!r} is a local file or folder; name its data files with `files`, "
            "so that their digests are kept, or run in another folder if you mean the hub"
        )
    if source is None:
        raise DataError(
            f"task {task.title!r} has no data set of its own: set `files` (local copies) or `repo` "
            "(Hugging Face hub) for it in the config"
        )
    revision = settings.get("revision") or "main"
    for split, data in _read_hub(source, revision).items():
        if not source.splits or split in source.splits:
            where = f"{source.repo} ({split})"
            yield _part(task, settings, data, split, where, _revision(data, source, revision))


def _named_files(files: Any) -> Iterator[tuple[str, Path]]:
    named = files if isinstance(files, dict) else {_ALL: files}
    for split, paths in named.items():
        for name in [paths] if isinstance(paths, str) else paths:
            path = Path(name).expanduser()
            if not path.is_file():
                raise DataError(
                    f"{path}: no such file; `files` takes paths relative to the folder where "
                    "snakemake runs, or absolute ones"
                )
            yield split, path


def _read_hub(source: HubSource, revision: str) -> Any:
    from datasets import load_dataset

    try:
        return load_dataset(source.repo, name=source.config, revision=revision)
    # The library and its network layers raise many types here; all mean the same to the user.
    except Exception as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise DataError(
            f"data set {source.repo} at {revision!r} cannot be fetched from the Hugging Face hub "
            f"({reason}); check the network and `repo`, `revision`, or set `files` to local copies"
        ) from None


def _revision(data: Any, source: HubSource, revision: str) -> dict[str, str]:
    """The commit is part of the addresses that the library keeps, also without network."""
    for address in getattr(data.info, "download_checksums", None) or {}:
        commit = str(address).partition("@")[2].partition("/")[0]
        if len(commit) == 40 and set(commit) <= set("0123456789abcdef"):
            return {"repo": source.repo, "revision": commit}
    return {"repo": source.repo, "revision": revision}


def _part(
    task: Described,
    settings: Mapping[str, Any],
    data: Any,
    split: str,
    where: str,
    origin: dict[str, str],
) -> Part:
    renamed = dict(settings.get("columns") or {})
    found = list(data.column_names)
    for name in dict.fromkeys([*task.columns, *renamed]):
        column = renamed.get(name, name)
        if column not in found and column != "split":
            raise DataError(
                f"{where}: column {column!r} is missing; found {found}; rename with `columns: "
                f"{{{name}: <name in the file>}}`, or name them with `header`"
            )
    if len(data) == 0:
        raise DataError(f"{where}: no rows; expected at least one")

    words = _class_names(data) if not (settings.get("labels") or task.labels) else {}

    def rows() -> Iterator[dict[str, Any]]:
        for row in data:
            columns = {"split": split} | row
            for name, names in words.items():
                if isinstance(columns.get(name), int) and 0 <= columns[name] < len(names):
                    columns[name] = names[columns[name]]
            yield columns | {name: columns.get(column) for name, column in renamed.items()}

    return Part(split, where, origin, rows())


def _class_names(data: Any) -> dict[str, list[str]]:
    """Words for the numbers of a column, as a data set declares them."""
    if hasattr(data, "class_names"):
        return data.class_names
    features = getattr(data, "features", None) or {}
    return {name: f.names for name, f in features.items() if hasattr(f, "names")}
