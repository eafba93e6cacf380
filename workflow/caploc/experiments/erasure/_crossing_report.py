"""The tables `cross_erasure` and `cross_overlap`: source x target matrices, contrasts."""

from typing import Any

import polars as pl

from caploc.report.findings import Finding, Tone
from caploc.report.formatting import Number
from caploc.report.numbers import number, row
from caploc.report.set_kinds import SET_KINDS
from caploc.report.templates import finding
from caploc.report.views import View

__all__ = ["crossing", "selective"]

_SIGNIFICANT = 0.05


def crossing(view: View) -> dict[str, Any] | None:
    """What the page shows; None if nothing was crossed.

    Returns:
        Rows ``erased`` and ``overlap``, ``kinds`` of sets with their titles, and ``matrix``, which
        finds the numbers of a matrix: by (source, target), ids of data sets.
    """
    erased, overlap = view.rows("cross_erasure"), view.rows("cross_overlap")
    if erased.is_empty():
        return None
    ids = [task.id for task in view.inputs.tasks]

    def matrix(kind: str, metric: str) -> dict[tuple[str, str], Number]:
        find = _shared if metric == "overlap" else _lost
        frame = overlap if metric == "overlap" else erased
        return {(a, b): find(frame, a, b, sets=kind, metric=metric) for a in ids for b in ids}

    kinds = {key: title for key, title in SET_KINDS.items() if key in erased["sets"]}
    return {"erased": erased, "overlap": overlap, "kinds": kinds, "matrix": matrix}


def _lost(frame: pl.DataFrame, source: str, target: str, sets: str, metric: str) -> Number:
    if number(frame, sets=sets, source=source, target="", metric="n_neurons").value == 0:
        return Number(reason="empty mask")
    return number(frame, sets=sets, source=source, target=target, metric=metric)


def _shared(frame: pl.DataFrame, source: str, target: str, **where: str) -> Number:
    """A pair is in the table once; a set coincides with itself."""
    if source == target:
        return Number(reason="")
    frame = frame.drop("ci_low", "ci_high")
    one = number(frame, source=source, target=target, **where)
    return one if one.has_value else number(frame, source=target, target=source, **where)


def selective(view: View) -> Finding | None:
    """Do neurons of one data set matter more to data sets of the same capability?"""
    erased = view.rows("cross_erasure")
    where = {"source": "", "target": "", "metric": "logprob_contrast"}
    kind = next((k for k in SET_KINDS if row(erased, sets=k, **where)), None)
    found = number(erased, sets=kind, **where)
    if not found.has_value:
        return None
    p = (row(erased, sets=kind, **where) or {})["p"]
    tone: Tone = "against" if found.side == "below" else "mixed"
    if found.side == "above" and (p is None or p <= _SIGNIFICANT):
        tone = "supports"
    return finding(
        tone, "One capability or many", "erasure", "selective", found=found, p=p, verdict=tone
    )
