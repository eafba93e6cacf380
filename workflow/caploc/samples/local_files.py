"""Rows of local files, every value as it stands there: no guessing of types, no shifted columns.

Numbers in JSON keep the digits that were written, cells of a csv are text, ISO dates stay text.
What a value is taken for is decided where it is used, see `caploc.samples.task`.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from caploc.records import DataError

__all__ = ["FORMATS", "Rows", "format_of", "read_file"]

FORMATS = ("jsonl", "json", "csv", "tsv", "parquet", "text")
_ROWS, _MOST_BYTES = 256, 2 * 2**30
_ENDINGS = {f".{name}": name for name in FORMATS} | {".txt": "text"}


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one file.

    Attributes:
        column_names: names of all columns, each once.
        rows: values by column; a column that a row lacks is not in it.
        class_names: words for the numbers of a column, where the file declares them.
    """

    column_names: list[str]
    rows: list[dict[str, Any]]
    class_names: dict[str, list[str]]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)


def format_of(path: Path, wanted: str | None) -> str:
    """Format of a file: the one wanted, else the one of its ending.

    Raises:
        DataError: neither is known.
    """
    found = wanted or _ENDINGS.get(path.suffix.lower())
    if found not in FORMATS:
        raise DataError(
            f"{path}: the format is not clear from its ending; set `format` to one of "
            f"{', '.join(FORMATS)}"
        )
    return found


def read_file(path: Path, kind: str, header: list[str] | None) -> Rows:
    """Read one file.

    Args:
        path: an ordinary file; its name is no pattern.
        kind: one of `FORMATS`.
        header: column names of a csv or tsv that has no header line.

    Raises:
        DataError: not UTF-8, not of this format, or a row with another number of fields than there
            are names; the message names the line.
    """
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty")
    if kind == "parquet":
        return _parquet(path)
    if kind in ("csv", "tsv"):
        return _separated(path, kind, header)
    text = _text(path)
    if kind == "text":
        lines = text.removesuffix("\n").split("\n")
        return Rows(["text"], [{"text": line.removesuffix("\r")} for line in lines], {})
    found = _objects(path, text) if kind == "json" else _lines(path, text)
    names = list(dict.fromkeys(chain.from_iterable(found)))
    return Rows(names, found, {})


def _text(path: Path) -> str:
    """Content without a byte-order mark."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from None


def _lines(path: Path, text: str) -> list[dict[str, Any]]:
    # Not splitlines: texts may hold other line separators.
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            found.append(_object(path, _json(path, line, number), f"line {number}"))
    return found


def _objects(path: Path, text: str) -> list[dict[str, Any]]:
    """A list of objects; a file of one object a line is read, too, whatever its ending."""
    try:
        found = _json(path, text, None)
    except DataError:
        if "\n{" not in text:
            raise
        return _lines(path, text)
    if isinstance(found, dict):
        found = [found]
        if any(isinstance(value, list) for value in found[0].values()):
            raise DataError(
                f"{path}: holds one object with lists in it; expected a list of objects, or one "
                "object a line, a row each"
            )
    return [_object(path, item, f"item {i}") for i, item in enumerate(found, start=1)]


def _json(path: Path, text: str, line: int | None) -> Any:
    try:
        # Numbers as they are written: 2.50 is not 2.5, and 20 digits stay 20 digits.
        return json.loads(text, parse_int=str, parse_float=str)
    except (json.JSONDecodeError, RecursionError) as error:
        where = f"line {line}: " if line else ""
        kind = "jsonl" if line else "json"
        raise DataError(
            f"{path}: cannot be read as {kind} ({where}{error}); correct the file, or set `format` "
            f"(one of {', '.join(FORMATS)})"
        ) from None


def _object(path: Path, value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{path}: {where} is {_short(value)}; expected an object with the columns")
    return value


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:37] + "..."


def _separated(path: Path, kind: str, header: list[str] | None) -> Rows:
    table, wrong = _cells(path, kind, header)
    separator = "\t" if kind == "tsv" else ","
    if (
        wrong
        and not table.num_rows
        and all(
            row.actual_columns == row.expected_columns + 1 and row.text.rstrip().endswith(separator)
            for row in wrong
        )
    ):
        # Every line ends in one separator too many: an unnamed, empty last column.
        extended = [*(header or table.column_names), ""]
        table, wrong = _cells(path, kind, extended, skip=0 if header else 1)
    if wrong:
        row = wrong[0]
        line = f"line {row.number}: " if row.number else ""
        raise DataError(
            f"{path}: cannot be read as {kind} ({line}{row.actual_columns} fields, but "
            f"{row.expected_columns} names: {_shown(row.text)}); correct the line, put a text with "
            "separators in quotation marks, or set `header`"
        )
    names = [name for name in table.column_names if name]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise DataError(f"{path}: column {repeated[0]!r} stands twice; give every column a name")
    return Rows(names, table.select(names).to_pylist(), {})


def _cells(path: Path, kind: str, names: list[str] | None, skip: int = 0) -> Any:
    """All cells as text, and the rows whose number of fields is not that of the names."""
    import pyarrow as pa
    from pyarrow import csv

    wrong: list[Any] = []

    def refuse(row: Any) -> str:
        wrong.append(row)
        return "skip"

    size = max(path.stat().st_size + 1, 2**20)
    read = csv.ReadOptions(column_names=names, skip_rows=skip, use_threads=False, block_size=size)
    # In a tsv a quotation mark is an ordinary character.
    marks = {"delimiter": "\t", "quote_char": False} if kind == "tsv" else {}
    parse = csv.ParseOptions(newlines_in_values=kind == "csv", invalid_row_handler=refuse, **marks)
    try:
        if names is None:
            names = csv.open_csv(path, read, parse).schema.names
            wrong.clear()
        # "007", "1.50", "NA" and "" must stay what they are.
        convert = csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        )
        return csv.read_csv(path, read, parse, convert), wrong
    except pa.ArrowInvalid as error:
        reason = str(error).splitlines()[0]
        if "UTF8" in reason:
            raise DataError(f"{path}: not UTF-8 text ({reason}); save it as UTF-8") from None
        raise DataError(
            f"{path}: cannot be read as {kind} ({reason}); correct the file, or set `format` (one "
            f"of {', '.join(FORMATS)}) or `header`"
        ) from None


def _shown(text: str) -> str:
    line = text.strip()
    return line if len(line) <= 60 else line[:57] + "..."


def _bounded(path: Path) -> Any:
    """All rows, read a few at a time: a small file may hold more text than fits the memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts, size = [], 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS, use_threads=False):
            parts.append(batch)
            size += batch.nbytes
            if size > _MOST_BYTES:
                raise DataError(
                    f"{path}: holds more than {_MOST_BYTES / 2**30:.0f} GiB of values; give a "
                    "smaller file, with the rows and columns that the task needs"
                )
        return pa.Table.from_batches(parts, file.schema_arrow)


def _parquet(path: Path) -> Rows:
    import pyarrow as pa

    try:
        table = _bounded(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{path}: cannot be read as parquet ({str(error).splitlines()[0]}); correct the file, "
            f"or set `format` (one of {', '.join(FORMATS)})"
        ) from None
    declared = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
    features = declared.get("info", {}).get("features", {})
    named = {
        name: feature["names"]
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
    }
    return Rows(table.column_names, table.to_pylist(), named)
