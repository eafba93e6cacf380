"""Files between stages: written under a temporary name and renamed, read with every check.

A reader never sees a half-written file: `os.replace` is atomic within one file system. Parquet
files carry their origin (stage, settings, code digest) as metadata under the key ``caploc``.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from caploc.files.atomic import atomic_path
from caploc.records import DataError

__all__ = [
    "AGAIN",
    "atomic_path",
    "open_parquet",
    "read_json",
    "read_metadata",
    "read_table",
    "stream_rows",
    "table_writer",
    "write_json",
    "write_table",
    "write_text",
]

AGAIN = "delete it and run the same snakemake command again, only this file is made anew"
"""What to do about a damaged file."""
_KEY = b"caploc"
_TEXTS = (pa.string(), pa.large_string())


def write_text(text: str, path: Path) -> None:
    """Write `text` (UTF-8) to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(value: Any, path: Path) -> None:
    """Write `value` as indented JSON with sorted keys; NaN is refused (it is not JSON)."""
    write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n", path)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: not valid JSON ({error}); delete it and run the workflow again"
        ) from None


@contextmanager
def table_writer(
    path: Path, schema: pa.Schema, metadata: dict[str, Any], float_columns: Iterable[str] = ()
) -> Iterator[pq.ParquetWriter]:
    """Open a Parquet writer for `path`; the file appears under its name only when all went well.

    Args:
        path: file to make.
        schema: Arrow schema of every table that will be written.
        metadata: origin and settings, stored as JSON under the key ``caploc``; values that are only
            known at the end may be put into the dict before the context closes.
        float_columns: names whose bytes are split by significance before zstd, which about halves
            float32 scores; a list column is named ``scores.list.element``.
    """
    floats = list(float_columns)
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(
            temporary,
            schema,
            compression="zstd",
            use_dictionary=[f.name for f in schema if f.type in _TEXTS and f.name not in floats],
            use_byte_stream_split=floats or False,
            # zstd stores what it cannot compress as it is: only a checksum notices a flipped bit.
            write_page_checksum=True,
        ) as writer,
    ):
        yield writer
        text = json.dumps(metadata, sort_keys=True, allow_nan=False)
        writer.add_key_value_metadata({_KEY.decode(): text})


def write_table(
    table: pa.Table, path: Path, metadata: dict[str, Any], float_columns: Iterable[str] = ()
) -> None:
    """Write one Arrow table as Parquet, atomically; arguments as in `table_writer`."""
    with table_writer(path, table.schema, metadata, float_columns) as writer:
        writer.write_table(table)


@contextmanager
def open_parquet(path: Path, columns: Iterable[str] = ()) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file and check that it has `columns`; what is read inside is checked too.

    Raises:
        DataError: missing or damaged file or data, or a missing column; the message names the
            remedy.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            missing = [name for name in columns if name not in file.schema_arrow.names]
            if missing:
                raise DataError(
                    f"{path}: column {missing[0]!r} is missing; found {file.schema_arrow.names}; "
                    "delete the file and run again, or correct the task that wrote it"
                )
            yield file
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{path}: damaged or truncated Parquet file ({str(error).splitlines()[0]}); {AGAIN}"
        ) from None


def read_table(path: Path, columns: Iterable[str] = ()) -> pa.Table:
    """Read a whole Parquet file (all columns), checking that `columns` are there.

    Raises:
        DataError: as `open_parquet`.
    """
    with open_parquet(path, columns) as file:
        return file.read()


def stream_rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, pa.Scalar]]:
    """Some columns of a Parquet file, row by row: a file of long rows needs not fit in memory.

    Raises:
        DataError: as `open_parquet`.
    """
    with open_parquet(path, columns) as file:
        for batch in file.iter_batches(1, columns=list(columns)):
            yield {name: batch[name][0] for name in columns}


def read_metadata(path: Path) -> dict[str, Any]:
    """Origin and settings that were stored with a Parquet file.

    Raises:
        DataError: the file was not written by caploc.
    """
    with open_parquet(path) as file:
        metadata = file.metadata.metadata or {}
    if _KEY not in metadata:
        raise DataError(
            f"{path}: carries no caploc metadata, so nobody knows what made it; delete it and run "
            "the workflow again"
        )
    return json.loads(metadata[_KEY])
