"""Tidy tables: polars frames of a declared schema, one number a row, as CSV and Parquet.

Identifying columns come first, in the order in which rows are sorted; the number is in ``value``. A
text that does not apply is empty, a number is null. A table is built with `gathered` from frames
that hold some of its columns, and read again with `read`, schema checked.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from caploc.files import store
from caploc.records import DataError

__all__ = ["COUNT", "ESTIMATE", "LAYER", "NUMBER", "TESTED", "TEXT", "Schema", "arrow", "as_csv",
           "gathered", "joined", "read", "texts", "write", "write_part"]  # fmt: skip

Schema = Mapping[str, pl.DataType | type[pl.DataType]]
TEXT, NUMBER, COUNT, LAYER = pl.String, pl.Float64, pl.Int32, pl.Int16

ESTIMATE: Schema = {
    "metric": TEXT, "value": NUMBER, "ci_low": NUMBER, "ci_high": NUMBER, "interval": TEXT,
    "n": COUNT,
}  # fmt: skip
"""End of every table of estimates. `interval` says what `ci_low` and `ci_high` are, or why there is
no value (``not computed: n = 3, needs 20``); `n`: items behind the value."""
TESTED: Schema = {**ESTIMATE, "n_draws": COUNT, "p": NUMBER, "p_holm": NUMBER, "role": TEXT}
"""The same with random draws and tests. `role`: primary, secondary, exploratory or empty."""


def texts(*names: str) -> Schema:
    """Text columns of a schema."""
    return dict.fromkeys(names, TEXT)


def gathered(parts: Iterable[pl.DataFrame], schema: Schema) -> pl.DataFrame:
    """Frames that hold some of the columns of a table, one below the other.

    Args:
        parts: frames; a column that one lacks is empty there (text: "", number: null).
        schema: columns of the table, in order.

    Raises:
        ValueError: a frame has a column that the table has not.
    """
    frames = [pl.DataFrame(schema=dict(schema))]
    for part in parts:
        unknown = [name for name in part.columns if name not in schema]
        if unknown:
            raise ValueError(f"column {unknown[0]!r} is none of the table: {', '.join(schema)}")
        frames.append(part.cast({name: schema[name] for name in part.columns}))
    found = pl.concat(frames, how="diagonal")
    return found.with_columns(pl.col(pl.String).fill_null(""))


def arrow(frame: pl.DataFrame) -> pa.Table:
    """A frame as an Arrow table, for a file that is written piece by piece."""
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def write_part(frame: pl.DataFrame, path: Path, origin: Mapping[str, Any], **about: Any) -> None:
    """Write one part of a table as Parquet, in the order of its rows.

    Args:
        frame: the rows.
        path: of the file.
        origin: `Job.origin` of the job that made it.
        about: what `store.read_metadata` tells of the file beside its origin.
    """
    store.write_table(arrow(frame), path, {"origin": origin, **about})


def write(frame: pl.DataFrame, outputs: Mapping[str, Path], origin: Mapping[str, Any]) -> None:
    """Sort a table of numbers by its identifying columns and write it.

    Args:
        frame: the table, as `gathered` makes it; one without the column ``value`` stays in order.
        outputs: paths ``csv`` and ``parquet``.
        origin: `Job.origin` of the job that made it.
    """
    if "value" in frame.columns:
        keys = frame.columns[: frame.columns.index("value")]
        frame = frame.sort(keys, nulls_last=True, maintain_order=True)
    write_part(frame, outputs["parquet"], origin)
    with store.atomic_path(outputs["csv"]) as path:
        path.write_text(as_csv(frame), encoding="utf-8")


def as_csv(frame: pl.DataFrame) -> str:
    """A frame as text of a CSV file; an empty text is an empty cell, as a missing number is.

    A text that a spreadsheet would take for a formula gets an apostrophe in front, as one types it.
    """
    text = pl.col(pl.String)
    formula = text.str.contains(r"^[=+\-@\t\r]")
    quoted = pl.when(formula).then("'" + text).otherwise(text.replace("", None))
    return frame.with_columns(quoted.name.keep()).write_csv()


def read(path: Path, schema: Schema | None = None) -> pl.DataFrame:
    """Read a table, or a part of one.

    Args:
        path: Parquet file.
        schema: columns that must be there, with their types; those and no others are returned.
            None: all of the file.

    Raises:
        DataError: missing or damaged file, a missing column, or one of another type.
    """
    found = pl.from_arrow(store.read_table(path, list(schema or ())))
    assert isinstance(found, pl.DataFrame)
    if schema is None:
        return found
    for name, kind in schema.items():
        if found.schema[name] != kind:
            raise DataError(
                f"{path}: column {name!r} is {found.schema[name]}, expected {kind}; delete the "
                "file and run again"
            )
    return found.select(list(schema))


def joined(paths: Iterable[Path], schema: Schema) -> pl.DataFrame:
    """Parts of a table that `write_part` wrote, one below the other.

    Raises:
        DataError: a damaged part, as in `read`.
    """
    return gathered((read(path, schema) for path in paths), schema)
