"""One metric for all locators: rows of the table `reliability` with a budget, pivoted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from caploc.experiments.fidelity.report import LOCATORS
from caploc.report.cells import number
from caploc.report.formatting import Number, count, joined, nat
from caploc.report.inputs import Row

__all__ = ["SharedRow", "SharedView", "shared_view"]

NAMES = LOCATORS | {"cnl": "Mean scores (CNL)"}
_CONTROLS = ("", "random", "located minus random")
_ANSWER, _TEXT = "shared_logprob_fall", "shared_fluency_fall"
_SMALL = 0.05


@dataclass(frozen=True, slots=True)
class SharedRow:
    """One locator at one budget; falls are in nat per token.

    Attributes:
        locator: as the page calls it.
        budget: name of the budget.
        units: mean number of silenced units.
        spent: mean share of all weights that they cost.
        n: facts.
        answer: fall of the answer: located, random, located minus random.
        p: of the last, exploratory.
        text: the same falls for neutral text.
        p_text: p of neutral text.
    """

    locator: str
    budget: str
    units: Number
    spent: Number
    n: int | None
    answer: list[Number]
    p: float | None
    text: list[Number]
    p_text: float | None


@dataclass(frozen=True, slots=True)
class SharedView:
    """The table of one model and set of facts.

    Attributes:
        rows: budget by budget.
        n_draws: R, None if nothing was computed.
        verdict: what these numbers show and what not.
        rules: (locator, how its ranking was made).
        remarks: what was left out or is special, in words.
    """

    rows: list[SharedRow]
    n_draws: int | None
    verdict: str
    rules: list[tuple[str, str]]
    remarks: list[str]


def shared_view(rows: Sequence[Row]) -> SharedView | None:
    """The table, None if the run has none.

    Args:
        rows: rows of one model and set of facts.
    """
    own = [row for row in rows if row["budget"]]
    costs = {r["budget"]: r["value"] for r in own if r["metric"] == "shared_budget"}
    found = [
        _row(own, locator, budget)
        for budget in sorted(costs, key=lambda name: costs[name])
        for locator in NAMES
        if any(r["locator"] == locator and r["budget"] == budget for r in own)
    ]
    if not found:
        return None
    draws = [r["n_draws"] for r in own if r["n_draws"] is not None]
    rules = {r["locator"]: r["rule"] for r in own if r["rule"]}
    return SharedView(
        rows=found,
        n_draws=max(draws) if draws else None,
        verdict=_verdict(found),
        rules=[(NAMES[name], rules[name]) for name in NAMES if name in rules],
        remarks=list(_remarks(own)),
    )


def _row(rows: Sequence[Row], locator: str, budget: str) -> SharedRow:
    own = [r for r in rows if (r["locator"], r["budget"]) == (locator, budget)]

    def falls(metric: str) -> list[Number]:
        return [_number(own, metric=metric, control=control) for control in _CONTROLS]

    p = {r["metric"]: r["p"] for r in own if r["control"] == _CONTROLS[2]}
    answer = falls(_ANSWER)
    return SharedRow(
        locator=NAMES[locator],
        budget=budget,
        units=_number(own, metric="shared_units"),
        spent=_number(own, metric="shared_share"),
        n=answer[0].n,
        answer=answer,
        p=p.get(_ANSWER),
        text=falls(_TEXT),
        p_text=p.get(_TEXT),
    )


def _number(rows: Sequence[Row], **where: Any) -> Number:
    return number(next((r for r in rows if all(r[k] == v for k, v in where.items())), None), "–")


def _remarks(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        if row["metric"] not in ("shared_left_out", "shared_short", "shared_sets"):
            continue
        where = f"{NAMES[row['locator']]}, {row['budget']}"
        value = int(row["value"])
        if row["metric"] == "shared_left_out":
            yield f"{where}: no set for {value} of {row['n']} facts ({row['interval']})"
        elif row["metric"] == "shared_short":
            yield (
                f"{where}: the ranking of {value} of {row['n']} facts ends below the budget; their "
                "random sets have as many units as they have"
            )
        else:
            yield (
                f"{where}: for some facts such units make up only {count(value, 'different set')}, "
                "the located one among them, so p cannot become small"
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
    spread = [_named(row) for row in more if _text_loses(row)]
    if spread:
        text += (
            f". With {joined(spread)} neutral text loses more than under random sets too: that "
            "loss is not the fact's alone"
        )
    return text + "."


def _text_loses(row: SharedRow) -> bool:
    """Neutral text loses more than under random sets; one set for all facts has no interval."""
    found = row.text[2]
    if not found.has_value:
        return False
    if found.low is None:
        return row.p_text is not None and row.p_text <= _SMALL
    return found.low > 0


def _named(row: SharedRow) -> str:
    return f"{row.locator} at {row.budget}"


def _why(row: SharedRow) -> str:
    found = row.answer[2]
    return (
        f"{_named(row)} ({nat(found.value or 0.0)}, {nat(found.bottom)} to {nat(found.top)} nat"
        + (f", p = {row.p:.2g})" if row.p is not None else ")")
    )
