"""Rows in dictionaries to a table: one number a row."""

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl
import pyarrow as pa

from caploc.files import tables
from caploc.files.tables import Schema
from caploc.jobs.job import Job

__all__ = ["rows", "write"]


def rows(found: Iterable[Mapping[str, Any]], schema: Schema) -> pa.Table:
    """Rows as a table: columns that a row does not name are empty (text: "", numbers: null)."""
    empty = {name: "" if kind == pl.String else None for name, kind in schema.items()}
    frame = pl.DataFrame([{**empty, **row} for row in found], schema=dict(schema), orient="row")
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def write(job: Job, table: pa.Table) -> None:
    """Sort a table by its identifying columns and write the outputs ``csv`` and ``parquet``."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    tables.write(frame, job.outputs, job.origin())
