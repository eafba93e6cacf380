"""The page and the CSV of two runs."""

import csv
import io
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from caploc.comparison.runs import FinishedRun
from caploc.comparison.side_by_side import Row, Table, differing_settings

__all__ = ["as_csv", "as_page"]

_MOST = 200
"""Rows of a table on the page; more are in the CSV alone."""


def as_csv(tables: Sequence[Table]) -> str:
    """All rows of all tables, columns that a table lacks empty."""
    columns = list(dict.fromkeys(c for table in tables for c in table.columns))
    numbers = [f"{name}_{side}" for side in "ab" for name in ("value", "ci_low", "ci_high", "n")]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["table", *columns, *numbers, "difference"])
    for table in tables:
        for row in table.rows:
            told = [*row.a.values(), *row.b.values(), row.difference]
            key = [row.key.get(column) for column in columns]
            writer.writerow([table.name, *key, *told])
    return out.getvalue()


def as_page(a: FinishedRun, b: FinishedRun, tables: Sequence[Table]) -> str:
    """The page as HTML text; needs nothing else."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("caploc", "comparison"), autoescape=True, trim_blocks=True,
        lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    style = files("caploc.report").joinpath("page.css").read_text(encoding="utf-8")
    return environment.get_template("page.html.jinja").render(
        a=a, b=b, style=Markup(style), settings=differing_settings(a, b), only=_only(a, b),
        tables=[_shown(table) for table in tables],
    )  # fmt: skip


def _only(a: FinishedRun, b: FinishedRun) -> list[str]:
    """Tables that the settings of one run alone ask for."""
    found = []
    for run, other in ((a, b), (b, a)):
        own, others = (set(r.tables) | set(r.missing) for r in (run, other))
        found += [
            f"Table {table} is of run {run.name} alone: add its experiment to run.experiments of "
            f"{other.name} and run snakemake again."
            for table in sorted(own - others)
        ]
    return found


def _shown(table: Table) -> dict[str, Any]:
    """Rows of a table as texts: all, or the primary ones of a long table, or the first."""
    rows, kind = table.rows, "all"
    if len(rows) > _MOST:
        primary = tuple(row for row in rows if row.primary)
        rows, kind = (primary, "the primary ones") if primary else (rows, "the first")
    rows = rows[:_MOST]
    used = [c for c in table.columns if any(row.key[c] not in (None, "") for row in rows)]
    return {
        "name": table.name, "columns": used, "kind": kind,
        "left_out": len(table.rows) - len(rows),
        "rows": [_texts(row, used) for row in rows],
    }  # fmt: skip


def _texts(row: Row, columns: Sequence[str]) -> dict[str, Any]:
    key = [row.key[c] for c in columns]
    return {
        "key": ["" if x is None else f"{x:g}" if isinstance(x, float) else str(x) for x in key],
        "a": _number(row.a),
        "b": _number(row.b),
        "difference": "" if row.difference is None else f"{row.difference:+.4g}",
    }


def _number(found: dict[str, Any]) -> str:
    if found["value"] is None:
        return "–"
    span = ""
    if found["ci_low"] is not None and found["ci_high"] is not None:
        span = f" ({found['ci_low']:.4g} to {found['ci_high']:.4g})"
    return f"{found['value']:.4g}{span}"
