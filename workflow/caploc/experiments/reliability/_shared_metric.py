"""One metric for all locators: rows of the table `reliability` with a budget, pivoted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from caploc.report import numbers
from caploc.report.formatting import Number, count, joined, nat
from caploc.report.numbers import matching, number

__all__ = ["SharedRow", "shared_view"]

_CONTROLS = ("", "random", "located minus random")
_ANSWER, _TEXT = "shared_logprob_fall", "shared_fluency_fall"
_SMALL = 0.05
_REMARKS = {
    "shared_left_out": "{title}, {budget}: no set for {value:.0f} of {n} facts ({interval})",
    "shared_short": (
        "{title}, {budget}: the ranking of {value:.0f} of {n} facts ends below the budget; their "
        "random sets have as many units as they have"
    ),
    "shared_sets": (
        "{title}, {budget}: for some facts the different sets of such units, the located one among "
        "them, are only {value:.0f}, so p cannot become small"
    ),
}


@dataclass(frozen=True, slots=True)
class SharedRow:
    """One locator at one budget; falls are in nat per token.

    Attributes:
        locator: as the page calls it.
        budget: name of the budget.
        units: mean number of silenced units.
        spent: mean share of all weights that they cost.
        answer: fall of the answer: located, random, located minus random.
        p: of the last, exploratory.
        text: the same falls for neutral text.
        p_text: p of neutral text.
    """

    locator: str
    budget: str
    units: Number
    spent: Number
    answer: list[Number]
    p: float | None
    text: list[Number]
    p_text: float | None

    @property
    def where(self) -> str:
        """Locator and budget, in words."""
        return f"{self.locator} at {self.budget}"

    @property
    def text_loses(self) -> bool:
        """Neutral text loses more than under random sets; one set for all has no interval."""
        found = self.text[2]
        if found.has_value and found.low is None:
            return self.p_text is not None and self.p_text <= _SMALL
        return found.has_value and found.bottom > 0


def shared_view(frame: pl.DataFrame, names: Mapping[str, str]) -> dict[str, object] | None:
    """The table of one model and set of facts, None if the run has none.

    Args:
        frame: rows of the table `reliability`, with the ``title`` of the locator.
        names: titles of the locators by id, in the order of the page.

    Returns:
        ``rows`` budget by budget, ``n_draws`` (R, None if nothing was computed), the ``verdict``:
        what these numbers show and what not, ``rules`` by locator (how its ranking was made) and
        ``remarks`` on what was left out or is special.
    """
    own = frame.filter(pl.col("budget") != "")
    costs = matching(own, metric="shared_budget").sort("value", maintain_order=True)
    by_set = own.partition_by("budget", "locator", as_dict=True)
    rows = [
        _row(by_set[budget, locator])
        for budget in costs["budget"].unique(maintain_order=True)
        for locator in names
        if (budget, locator) in by_set
    ]
    if not rows:
        return None
    ruled = own.filter(pl.col("rule") != "").unique("locator", keep="last")
    return {
        "rows": rows,
        "n_draws": own["n_draws"].max(),
        "verdict": _verdict(rows),
        "rules": {
            names[name]: rule
            for name in names
            for rule in matching(ruled, locator=name)["rule"]
        },
        "remarks": numbers.remarks(own, _REMARKS),
    }  # fmt: skip


def _row(frame: pl.DataFrame) -> SharedRow:
    """Rows of one locator at one budget as a row of the page."""
    answer, text = (
        [number(frame, "–", metric=metric, control=control) for control in _CONTROLS]
        for metric in (_ANSWER, _TEXT)
    )
    p, p_text = (
        (numbers.row(frame, metric=metric, control=_CONTROLS[2]) or {"p": None})["p"]
        for metric in (_ANSWER, _TEXT)
    )
    return SharedRow(
        locator=frame["title"][0],
        budget=frame["budget"][0],
        units=number(frame, metric="shared_units"),
        spent=number(frame, metric="shared_share"),
        answer=answer,
        p=p,
        text=text,
        p_text=p_text,
    )


def _verdict(rows: Sequence[SharedRow]) -> str:
    """What the answer loses beyond random sets, with which locator most, what other text loses."""
    known = [row for row in rows if row.answer[2].has_value]
    if not known:
        return "No verdict: no locator has enough facts with a set at any budget."
    more = [row for row in known if row.answer[2].bottom > 0 and (row.p or 0.0) <= _SMALL]
    text = (
        f"In {len(more)} of {count(len(known), 'comparison')} the answer loses more than under "
        f"random sets of equal cost (interval above 0, p at most {_SMALL})"
    )
    others = [row for row in known if row not in more]
    text += f"; not with {joined([_why(row) for row in others])}." if others else "."
    for i, budget in enumerate(dict.fromkeys(row.budget for row in known)):
        best = max((r for r in known if r.budget == budget), key=lambda r: r.answer[2].value or 0.0)
        text += "; at" if i else " The difference is largest at"
        text += f" {budget} with {best.locator} ({nat(best.answer[2].value or 0.0)} nat)"
    spread = [row.where for row in more if row.text_loses]
    if spread:
        text += (
            f". With {joined(spread)} neutral text loses more than under random sets too: that "
            "loss is not the fact's alone"
        )
    return text + "."


def _why(row: SharedRow) -> str:
    found = row.answer[2]
    return (
        f"{row.where} ({nat(found.value or 0.0)}, {nat(found.bottom)} to {nat(found.top)} nat"
        + (f", p = {row.p:.2g})" if row.p is not None else ")")
    )
