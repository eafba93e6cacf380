"""The sections on silenced neurons: what it does, and to questions of other data sets."""

from typing import Any

import polars as pl

from caploc.experiments.erasure._crossing_report import crossing, selective
from caploc.experiments.erasure._dose_figure import DOSE_SERIES, DOSES, dose_panels
from caploc.experiments.erasure._examples_report import abilities
from caploc.experiments.erasure._own_figure import own_lead, own_tiles, own_verdict
from caploc.experiments.erasure.table import CROSS_ERASURE, CROSS_OVERLAP, ERASURE, EXAMPLES
from caploc.report.findings import Finding, Tile, tone_of
from caploc.report.formatting import Number, point_span, points
from caploc.report.inputs import Inputs
from caploc.report.numbers import matching, number, row
from caploc.report.templates import finding
from caploc.report.views import View, views

__all__ = ["CONTENTS", "ORDER", "TABLES", "findings", "lead", "section", "tiles", "verdict"]

TABLES = {
    "erasure": ERASURE,
    "examples": EXAMPLES,
    "cross_erasure": CROSS_ERASURE,
    "cross_overlap": CROSS_OVERLAP,
}
ORDER = 20
CONTENTS = (
    ("examples", "Ability by ability"),
    ("erasure", "What silencing them does"),
    ("crossing", "Neurons of one, questions of another"),
)
_NO_MATCH = 0.25
_SIGNIFICANT = 0.05
# Where a row says nothing else.
_PLAIN: dict[str, Any] = {"arm": "located", "mode": "all", "control": "", "share": None}


def section(inputs: Inputs) -> dict[str, Any] | None:
    """What the page shows; None if nothing was silenced.

    Returns:
        ``examples``, ``erasure`` and ``crossing``, each None if the run has no such table.
        ``examples`` are the tasks of each view. ``erasure`` has the
        legend ``series``, ``doses`` (where each series stands), functions that find a number (those
        below) and of every view ``by_shots``: for each number of worked examples its rows and the
        ``panels`` of doses.
    """
    found: dict[str, Any] = {"examples": None, "erasure": None, "crossing": None}
    if not inputs.tables["examples"].is_empty():
        found["examples"] = [{"view": v, "abilities": abilities(v)} for v in views(inputs)]
    if not inputs.tables["erasure"].is_empty():
        of_views = [
            {
                "view": view,
                "by_shots": {
                    k: (own, dose_panels(view, own, k)) for k, own in _shots(view).items()
                },
            }
            for view in views(inputs)
        ]
        found["erasure"] = {
            "series": DOSE_SERIES, "doses": DOSES, "no_match": _NO_MATCH, "set_of": _of_set,
            "plain": _plain, "base": _base, "tested": _tested, "views": of_views,
        }  # fmt: skip
    if not inputs.tables["cross_erasure"].is_empty():
        found["crossing"] = [{"view": v, "found": crossing(v)} for v in views(inputs)]
    return found if any(part is not None for part in found.values()) else None


lead, verdict = own_lead, own_verdict


def findings(view: View) -> list[Finding]:
    """What silencing shows, and whether it is selective."""
    return [found for found in (_silencing(view), selective(view)) if found is not None]


def tiles(view: View) -> list[Tile]:
    """Right answers that silencing costs on average; empty if nothing was silenced."""
    located, random = _average(view)
    if not located.has_value:
        return own_tiles(view)
    beside = (
        f"matched random neurons: {point_span(random)}" if random.has_value else "no matched sets"
    )
    return [
        *own_tiles(view),
        Tile(
            f"{points(located.value or 0.0)} points",
            "right answers when a data set loses its located neurons, on average",
            f"95 % interval {points(located.bottom)} to {points(located.top)}; {beside}",
        ),
    ]


def _shots(view: View) -> dict[int, pl.DataFrame]:
    """Rows by number of worked examples; empty if nothing was silenced."""
    own, shots = view.rows("erasure"), pl.col("shots")
    return {
        # Sizes and neutral text do not depend on worked examples.
        k: own.filter(shots.is_null() | (shots == k))
        for k in view.inputs.tables["erasure"]["shots"].drop_nulls().unique().sort()
    }


def _plain(frame: pl.DataFrame, metric: str, **where: Any) -> Number:
    return number(frame, metric=metric, **{**_PLAIN, **where})


def _base(frame: pl.DataFrame, metric: str) -> Number:
    """A number of the unchanged model."""
    return _plain(frame, metric, mask="", arm="base")


def _of_set(frame: pl.DataFrame, metric: str, **where: Any) -> Number:
    """A number of a set of neurons, or the remark that the set is empty."""
    if _plain(frame, "n_neurons", **where | {"control": "", "share": None}).value == 0:
        return Number(reason="no neuron (n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}0)")
    return _plain(frame, metric, **where)


def _tested(frame: pl.DataFrame) -> dict[str, Any]:
    """The row of the test against random sets; columns without a value if there is none."""
    found = row(frame, **{**_PLAIN, "control": "matched"}, metric="logprob_excess")
    return found or dict.fromkeys(frame.columns)


def _average(view: View) -> tuple[Number, Number]:
    """Change of the average accuracy at the headline mask: located and matched random."""
    frame = next(iter(_shots(view).values()), view.rows("erasure"))
    own = matching(frame, dataset="average", mask=view.mask)
    change = _of_set(own, "accuracy_change")
    return change, _of_set(own, "accuracy_change", control="matched")


def _silencing(view: View) -> Finding | None:
    frame = next(iter(_shots(view).values()), None)
    if frame is None:
        return None
    tested, worse, unmatched, draws = 0, [], [], []
    for task in view.inputs.tasks:
        own = matching(frame, dataset=task.id, mask=view.mask)
        one = _tested(own)
        if one["p_holm"] is None:
            continue
        tested += 1
        draws.append(one["n_draws"])
        excess = _of_set(own, "logprob_excess", control="matched").value
        if one["p_holm"] <= _SIGNIFICANT and (excess or 0.0) > 0:
            worse.append(task.title)
            size = _plain(own, "size_difference", control="matched").value
            if size is None or abs(size) > _NO_MATCH:
                unmatched.append(task.title)
    # With so few random sets no corrected p can be small enough.
    floor = tested / (min(draws) + 1) if draws else 0.0
    decided = tested and floor <= _SIGNIFICANT
    tone = "mixed" if unmatched and worse else tone_of(len(worse), tested)
    located, random = _average(view)
    return finding(
        tone if decided else "note", "Silencing them", "erasure", "silencing",
        located=located, random=random, tested=tested, worse=worse, unmatched=unmatched,
        level=_SIGNIFICANT, draws=min(draws, default=0), floor=floor,
    )  # fmt: skip
