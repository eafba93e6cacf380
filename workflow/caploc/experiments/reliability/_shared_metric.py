"""One metric for all locators: rows of the table `reliability` with a budget, pivoted."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from caploc.report.formatting import Number
from caploc.report.numbers import matching, number, row
from caploc.report.templates import said

__all__ = ["shared_view"]

_CONTROLS = ("", "random", "located minus random")
_SMALL = 0.05


def shared_view(frame: pl.DataFrame, names: Mapping[str, str]) -> dict[str, Any] | None:
    """The table of one model and set of facts, None if the run has none.

    Args:
        frame: rows of the table `reliability`, with the ``title`` of the locator.
        names: titles of the locators by id, in the order of the page.

    Returns:
        ``rows`` budget by budget, ``n_draws`` (R, None if nothing was computed), the ``verdict``:
        what these numbers show and what not, ``rules`` by locator (how its ranking was made) and
        the rows they are from, ``frame``.
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
        "frame": own,
    }  # fmt: skip


def _row(frame: pl.DataFrame) -> dict[str, Any]:
    """Rows of one locator at one budget as a row of the page; falls are in nat per token.

    Returns:
        Title of the ``locator``, name of the ``budget``, both in words (``where``), mean number of
        silenced ``units``, mean share of all weights ``spent`` on them, fall of the ``answer`` and
        of neutral ``text`` (located, random, located minus random), and ``p`` and ``p_text`` of
        the differences, exploratory.
    """
    locator, budget = frame["title"][0], frame["budget"][0]
    found: dict[str, Any] = {
        "locator": locator,
        "budget": budget,
        "where": f"{locator} at {budget}",
        "units": number(frame, metric="shared_units"),
        "spent": number(frame, metric="shared_share"),
    }
    for name, p, metric in (
        ("answer", "p", "shared_logprob_fall"), ("text", "p_text", "shared_fluency_fall")
    ):  # fmt: skip
        found[name] = [number(frame, "–", metric=metric, control=control) for control in _CONTROLS]
        difference = row(frame, metric=metric, control=_CONTROLS[2])
        found[p] = difference and difference["p"]
    return found


def _verdict(rows: Sequence[Mapping[str, Any]]) -> str:
    """What the answer loses beyond random sets, with which locator most, what other text loses."""
    known = [row for row in rows if row["answer"][2].has_value]
    more = [
        row for row in known if row["answer"][2].side == "above" and (row["p"] or 0.0) <= _SMALL
    ]
    largest = {
        budget: max(
            (row for row in known if row["budget"] == budget),
            key=lambda row: row["answer"][2].value,
        )
        for budget in dict.fromkeys(row["budget"] for row in known)
    }
    return said(
        "reliability", "shared", known=known, more=more, largest=largest, small=_SMALL,
        others=[row for row in known if row not in more],
        spread=[row["where"] for row in more if _text_loses(row)],
    )  # fmt: skip


def _text_loses(row: Mapping[str, Any]) -> bool:
    """Neutral text loses more than under random sets; one set for all facts has no interval."""
    found: Number = row["text"][2]
    if found.has_value and found.low is None:
        return row["p_text"] is not None and row["p_text"] <= _SMALL
    return found.side == "above"
