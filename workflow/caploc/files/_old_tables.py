"""Columns of the tidy tables, and how they are written: one number a row, sorted, CSV and Parquet.

Identifying columns come first, in the order in which rows are sorted. A cell is empty where a
column does not apply; numbers are written with all their digits.
"""

import csv
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl
import pyarrow as pa

from caploc.files import store
from caploc.files.tables import Schema
from caploc.jobs.job import Job

__all__ = [
    "AGREEMENT",
    "BASE",
    "COMPLETENESS",
    "CROSS_ENHANCEMENT",
    "CROSS_ERASURE",
    "CROSS_OVERLAP",
    "ENHANCEMENT",
    "ERASURE",
    "NEURONS",
    "SAMPLES",
    "rows",
    "write",
]

# Rows turned into Python objects at once, which take about ten times the space of Arrow columns.
_CSV_ROWS = 100_000
_NUMBER, _TEXT, _COUNT = pa.float64(), pa.string(), pa.int32()

AGREEMENT = pa.schema(
    [
        *((name, _TEXT) for name in ("model", "dataset", "reference", "method", "mask")),
        ("sigma", _NUMBER),
        *((name, _TEXT) for name in ("arm", "comparison")),
        ("n_half", _COUNT),
        ("metric", _TEXT),
        *((name, _NUMBER) for name in ("value", "ci_low", "ci_high")),
        ("interval", _TEXT),
        *((name, _COUNT) for name in ("n", "n_draws")),
        *((name, _NUMBER) for name in ("p", "p_holm")),
        ("role", _TEXT),
    ]
)
NEURONS = pa.schema(
    [
        *((name, _TEXT) for name in ("model", "dataset", "method", "mask")),
        ("sigma", _NUMBER),
        ("layer", pa.int16()),
        ("neuron", _COUNT),
        ("shared_by", _TEXT),
        ("metric", _TEXT),
        ("value", _NUMBER),
    ]
)
BASE = pa.schema(
    [
        *((name, _TEXT) for name in ("model", "dataset", "split", "metric")),
        *((name, _NUMBER) for name in ("value", "ci_low", "ci_high")),
        ("interval", _TEXT),
        ("n", _COUNT),
    ]
)
SAMPLES = pa.schema(
    [
        *((name, _TEXT) for name in ("model", "dataset", "split", "reason", "metric")),
        ("value", _COUNT),
    ]
)
COMPLETENESS = pa.schema(
    [
        *((name, _TEXT) for name in ("model", "dataset", "method")),
        ("layer", pa.int16()),
        ("metric", _TEXT),
        ("value", _NUMBER),
        ("n", _COUNT),
    ]
)
_ENDING = (
    ("metric", _TEXT),
    *((name, _NUMBER) for name in ("value", "ci_low", "ci_high")),
    ("interval", _TEXT),
    *((name, _COUNT) for name in ("n", "n_draws")),
    *((name, _NUMBER) for name in ("p", "p_holm")),
    ("role", _TEXT),
)
ERASURE = pa.schema(
    [
        *((name, _TEXT) for name in ("model", "dataset", "method", "mask")),
        ("sigma", _NUMBER),
        *((name, _TEXT) for name in ("arm", "mode", "control")),
        ("share", _NUMBER),
        ("shots", _COUNT),
        *_ENDING,
    ]
)
# Neurons of one data set silenced (source), another one answered (target).
CROSS_ERASURE = pa.schema(
    [
        *((name, _TEXT) for name in ("model", "method", "mask")),
        ("sigma", _NUMBER),
        *((name, _TEXT) for name in ("source", "target", "sets")),
        *_ENDING,
    ]
)
CROSS_OVERLAP = CROSS_ERASURE

ENHANCEMENT = pa.schema(
    [
        *((name, _TEXT) for name in ("model", "dataset", "method", "mask")),
        ("sigma", _NUMBER),
        *((name, _TEXT) for name in ("arm", "choice")),
        ("rate", _NUMBER),
        ("epoch", _COUNT),
        *((name, _TEXT) for name in ("comparison", "metric")),
        *((name, _NUMBER) for name in ("value", "ci_low", "ci_high")),
        ("interval", _TEXT),
        *((name, _COUNT) for name in ("n", "n_draws")),
    ]
)
# Neurons of one data set trained (source), another one answered (dataset).
CROSS_ENHANCEMENT = pa.schema(
    [
        *((name, _TEXT) for name in ("model", "source", "dataset", "method", "mask")),
        *((name, _TEXT) for name in ("sets", "arm", "relation", "comparison", "metric")),
        *((name, _NUMBER) for name in ("value", "ci_low", "ci_high")),
        ("interval", _TEXT),
        *((name, _COUNT) for name in ("n", "n_draws")),
    ]
)


_TYPES: dict[Any, pa.DataType] = {
    pl.String: pa.string(), pl.Float64: pa.float64(), pl.Int32: pa.int32(), pl.Int16: pa.int16(),
}  # fmt: skip


def rows(found: Iterable[Mapping[str, Any]], schema: pa.Schema | Schema) -> pa.Table:
    """Rows as a table: columns that a row does not name are empty (text: "", numbers: null)."""
    if not isinstance(schema, pa.Schema):
        schema = pa.schema([(name, _TYPES[kind]) for name, kind in schema.items()])
    empty = {f.name: "" if pa.types.is_string(f.type) else None for f in schema}
    return pa.Table.from_pylist([{**empty, **row} for row in found], schema=schema)


def write(job: Job, table: pa.Table) -> None:
    """Sort a table by its identifying columns and write the outputs ``csv`` and ``parquet``."""
    names = table.schema.names
    table = table.sort_by([(name, "ascending") for name in names[: names.index("value")]])
    store.write_table(table, job.outputs["parquet"], {"origin": job.origin()})
    with (
        store.atomic_path(job.outputs["csv"]) as path,
        path.open("w", encoding="utf-8", newline="") as handle,
    ):
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(names)
        for batch in table.to_batches(max_chunksize=_CSV_ROWS):
            writer.writerows(zip(*(column.to_pylist() for column in batch.columns), strict=True))
