"""Rows of a data set: from the hub, or from local files in the usual formats."""

import csv
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from caploc.jobs.digests import file_digest
from caploc.records import DataError
from caploc.samples.task import HubSource

__all__ = ["Described", "Part", "read_parts"]

_FORMATS = {
    ".jsonl": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet",
    ".txt": "text",
}  # fmt: skip
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
            data = _read_file(path, _format(path, settings.get("format")), settings.get("header"))
            origin = {"file": path.name, "sha256": file_digest(path)}
            yield _part(task, settings, data, split, str(path), origin)
        return
    source = task.source
    if settings.get("repo") is not None:
        same = source is not None and source.repo == settings["repo"]
        if not same:
            source = HubSource(settings["repo"], None, (), task.columns)
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


def _format(path: Path, wanted: str | None) -> str:
    found = wanted or _FORMATS.get(path.suffix.lower())
    if found is None or found not in _FORMATS.values():
        raise DataError(
            f"{path}: the format is not clear from its ending; set `format` to one of "
            f"{', '.join(_FORMATS.values())}"
        )
    return found


def _read_file(path: Path, kind: str, header: list[str] | None) -> Any:
    from datasets import Features, Value, load_dataset
    from datasets.exceptions import DatasetGenerationError
    from datasets.utils.logging import disable_progress_bar

    disable_progress_bar()
    builder = {"jsonl": "json", "tsv": "csv"}.get(kind, kind)
    options: dict[str, Any] = {}
    if kind in ("csv", "tsv"):
        names = header or _first_line(path, kind)
        # All columns as text: "007", "1.50" and "NA" must stay what they are. In a tsv a quotation
        # mark is an ordinary character.
        options = {
            "features": Features({name: Value("string") for name in names}),
            "names": names,
            "header": None if header else 0,
            "na_filter": False,
        }
        options |= {"sep": "\t", "quoting": csv.QUOTE_NONE} if kind == "tsv" else {}
    elif builder == "json":
        options = {"parse_agent_traces": False}
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty")
    try:
        # The library's own cache would outlive the run; the rows are needed once.
        with tempfile.TemporaryDirectory() as cache:
            return load_dataset(
                builder,
                data_files={"train": str(path.absolute())},
                split="train",
                cache_dir=cache,
                keep_in_memory=True,
                **options,
            )
    except (DatasetGenerationError, ValueError, TypeError, OSError) as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        reason = str(cause).strip().split("\n")[0] or type(cause).__name__
        if "corresponds to no data" in reason:
            raise DataError(f"{path}: no rows; expected at least one") from None
        raise DataError(
            f"{path}: cannot be read as {kind} ({reason}); correct the file, or set `format` (one "
            f"of {', '.join(_FORMATS.values())}) or `header`"
        ) from None


def _first_line(path: Path, kind: str) -> list[str]:
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            if kind == "tsv":
                return handle.readline().rstrip("\r\n").split("\t")
            return next(csv.reader(handle), [])
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None


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

    def rows() -> Iterator[dict[str, Any]]:
        for row in data:
            columns = {"split": split} | row
            yield columns | {name: columns[column] for name, column in renamed.items()}

    return Part(split, where, origin, rows())
