"""The section on reliability: rows of the table `reliability`, pivoted; nothing is computed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from caploc.experiments.fidelity.report import LOCATORS
from caploc.experiments.reliability._shared_metric import SharedView, shared_view
from caploc.report.cells import number
from caploc.report.formatting import Number, percent
from caploc.report.inputs import Inputs, Row

__all__ = ["KINDS", "PAPER", "IppRow", "ReliabilityView", "reliability_views"]

PAPER = {"Knowledge neurons": 0.114, "Causal tracing": 0.0, "Knowledge circuits": 0.105}
"""IPP that the paper prints for GPT-J and CounterFact; draws and metrics are not printed."""
KINDS = ("located", "best random", "ipp", "best per fact", "mean of random", "cross-fitted", "null")
_MEASURES = ("efficacy", "paraphrase", "neighbourhood", "margin", "fluency", "effect")
_EXPLAINED = ("tracing", "layer", "both")


@dataclass(frozen=True, slots=True)
class IppRow:
    """One locator, one validation, one random pool.

    Attributes:
        locator: as the page calls it.
        rule: what counts as located.
        control: what the random pool is.
        measure: what performance means.
        primary: this row decides.
        n: facts.
        n_draws: R, sets in the pool.
        numbers: in the order of `KINDS`.
    """

    locator: str
    rule: str
    control: str
    measure: str
    primary: bool
    n: int | None
    n_draws: int | None
    numbers: list[Number]


@dataclass(frozen=True, slots=True)
class ReliabilityView:
    """One model on one set of facts.

    Attributes:
        model: id.
        facts: id.
        n_known: facts the model completes correctly: the others are in no number.
        verdicts: (locator, sentence).
        rows: IPP of all locators.
        layers: (layer or "unedited", numbers in the order of efficacy, paraphrase, ...).
        explained: R squared by the tracing effect, by the layer, by both.
        remarks: what was left out or regularised, in words.
        shared: all locators by one metric, None without.
    """

    model: str
    facts: str
    n_known: int
    verdicts: list[tuple[str, str]]
    rows: list[IppRow]
    layers: list[tuple[str, list[Number]]]
    explained: list[tuple[str, Number]]
    remarks: list[str]
    shared: SharedView | None


def reliability_views(inputs: Inputs) -> list[ReliabilityView]:
    """Every model with every set of facts; empty if the run has no such table."""
    rows = inputs.tables.get("reliability", [])
    found = dict.fromkeys((row["model"], row["dataset"]) for row in rows)
    return [
        _view(model, facts, [r for r in rows if (r["model"], r["dataset"]) == (model, facts)])
        for model, facts in found
    ]


def _view(model: str, facts: str, rows: list[Row]) -> ReliabilityView:
    ipp = sorted(_ipp_rows(rows), key=lambda r: list(LOCATORS.values()).index(r.locator))
    known = next((r for r in rows if r["metric"] == "facts" and r["locator"] == "kn"), None)
    return ReliabilityView(
        model=model,
        facts=facts,
        n_known=int(known["value"]) if known else 0,
        verdicts=[(row.locator, _verdict(row)) for row in ipp if row.primary],
        rows=ipp,
        layers=list(_layers(rows)),
        explained=[
            (name, _number(rows, metric="r_squared", measure=f"margin explained by {name}"))
            for name in _EXPLAINED
        ],
        remarks=list(_remarks(rows)),
        shared=shared_view(rows),
    )


def _number(rows: list[Row], **where: Any) -> Number:
    found = next((r for r in rows if all(r[k] == v for k, v in where.items())), None)
    return number(found, "–" if found is None else str(found["interval"]))


def _ipp_rows(rows: list[Row]) -> Iterator[IppRow]:
    names = ("locator", "rule", "control", "measure")
    for key in dict.fromkeys(tuple(r[k] for k in names) for r in rows if r["metric"] == "ipp"):
        own = [r for r in rows if tuple(r[k] for k in names) == key]
        head = next(r for r in own if r["metric"] == "ipp")
        yield IppRow(
            locator=LOCATORS[key[0]],
            rule=key[1],
            control=key[2],
            measure=key[3],
            primary=any(r["role"] == "primary" for r in own),
            n=head["n"],
            n_draws=head["n_draws"],
            numbers=[_number(own, metric=kind) for kind in KINDS],
        )


def _layers(rows: list[Row]) -> Iterator[tuple[str, list[Number]]]:
    own = [r for r in rows if r["rule"] == "every layer" and r["metric"] == "mean"]
    for layer in sorted({r["layer"] for r in own}):
        name = "unedited" if layer < 0 else f"layer {layer}"
        yield name, [_number(own, layer=layer, measure=measure) for measure in _MEASURES]


def _remarks(rows: list[Row]) -> Iterator[str]:
    for row in rows:
        name = LOCATORS.get(row["locator"], row["locator"])
        if row["metric"] == "dropped" and row["value"]:
            yield f"{name}: {int(row['value'])} facts left out ({row['interval']})"
        if row["metric"] == "empty_sets" and row["value"]:
            yield f"{name}, {row['rule']}: {int(row['value'])} of {row['n']} sets are empty"
        if row["metric"] == "facts_without" and row["value"]:
            yield (
                f"{name}: {int(row['value'])} of {row['n']} facts have no prompts for "
                f"{row['measure']}"
            )
        if row["metric"] == "singular":
            yield f"layer {row['layer']}: {row['interval']}"


def _verdict(row: IppRow) -> str:
    """What IPP, beside its null row, says of one locator."""
    found, null = row.numbers[KINDS.index("ipp")], row.numbers[KINDS.index("null")]
    if found.value is None:
        return f"No verdict: {found.reason}."
    ends = f"{percent(found.value)} points ({percent(found.bottom)} to {percent(found.top)})"
    beside = "" if null.value is None else f"; a random set in its place: {percent(null.value)}"
    text = f"{row.measure}, {row.rule}: located minus the best of {row.n_draws} is {ends}{beside}. "
    if found.bottom > 0:
        return text + "The located set does more here than the best random one."
    if found.top < 0:
        return text + "A random choice does more here than the located one."
    return text + "The located set is not told apart from the best random one."
