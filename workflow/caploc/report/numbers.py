"""Numbers of a table as the page shows them: one row is looked up by its identifying columns."""

from typing import Any

import polars as pl

from caploc.report.formatting import NOT_COMPUTED, Number

__all__ = ["matching", "number", "row"]


def matching(frame: pl.DataFrame, **where: Any) -> pl.DataFrame:
    """Rows whose columns have these values; None finds nulls."""
    return frame.filter(*(pl.col(name).eq_missing(value) for name, value in where.items()))


def row(frame: pl.DataFrame, **where: Any) -> dict[str, Any] | None:
    """The first such row by the names of its columns, None if there is none."""
    found = matching(frame, **where)
    return found.row(0, named=True) if len(found) else None


def number(
    frame: pl.DataFrame, reason: str = NOT_COMPUTED, absent: str | None = None, **where: Any
) -> Number:
    """The first such row as a `Number`; `reason` is used where the row gives none.

    Args:
        frame: table with ``value``; ``ci_low, ci_high, interval, n`` where it has them.
        reason: why there is no value, if the table does not say.
        absent: the same where there is no such row; None: as `reason`.
        where: values of identifying columns.
    """
    found = row(frame, **where)
    if found is None:
        return Number(reason=reason if absent is None else absent)
    note = found.get("interval") or ""
    # Any other note says what the interval of a value would be.
    if found["value"] is None and (note.startswith(NOT_COMPUTED) or "n = " in note):
        reason = note if note.startswith(NOT_COMPUTED) else f"{NOT_COMPUTED}: {note}"
    return Number(
        value=found["value"],
        low=found.get("ci_low"),
        high=found.get("ci_high"),
        n=found.get("n"),
        reason=reason,
        interval=note,
    )
