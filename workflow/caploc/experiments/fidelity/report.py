"""The section about single facts: rows of the table `fidelity`, pivoted; nothing is computed."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt
from markupsafe import Markup

from caploc.experiments.fidelity._tracing import TracingView, tracing_view
from caploc.report.cells import number
from caploc.report.formatting import Number, percent
from caploc.report.inputs import Inputs, Row
from caploc.report.palette import CHANCE, LOCATED, MIXTURE, NEUTRAL, SHUFFLED
from caploc.report.svg import inline_svg

__all__ = ["CONTROLS", "PAPER", "FactRow", "FactView", "fidelity_views", "task_rows"]

CONTROLS = (
    "same answer", "same relation", "same wording", "other relation", "random by layer",
    "random uniform",
)  # fmt: skip
PAPER = {"Knowledge neurons": 0.373, "Causal tracing": 0.327, "Knowledge circuits": 0.072}
"""Overlaps that the paper prints for GPT-J, 1,000 CounterFact facts, rewrites by GPT-4o."""
LOCATORS = {
    "kn": "Knowledge neurons",
    "kn_activation": "Activation (baseline)",
    "rome": "Causal tracing",
    "circuit": "Knowledge circuits",
}
_REWRITES = {
    "template": "other template of the relation",
    "paraphrase": "paraphrase of the data set",
    "own": "rewrite by the model itself",
}
# Comparisons of the figure from top to bottom, with the look of each.
_DRAWN = (
    ("rewrite", LOCATED), ("same relation", MIXTURE), ("other relation", NEUTRAL),
    ("random by layer", SHUFFLED), ("random uniform", CHANCE),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FactRow:
    """One rule of one locator and one kind of rewrite.

    Attributes:
        locator: as the page calls it.
        rule: name of the rule.
        rewrite: kind of rewrite, in words.
        size: mean number of located units.
        share: mean share of all units that is located.
        numbers: overlap by comparison; ``rewrite`` among them.
        iou: of fact and rewrite.
        difference: rewrite minus same relation, per fact.
        empty: pairs of fact and rewrite in which a set is empty.
    """

    locator: str
    rule: str
    rewrite: str
    size: Number
    share: Number
    numbers: Mapping[str, Number]
    iou: Number
    difference: Number
    empty: Number


@dataclass(frozen=True, slots=True)
class FactView:
    """One model on one set of facts.

    Attributes:
        model: id.
        facts: id.
        n_facts: facts that were asked.
        n_known: of these, those whose original prompt the model completes correctly.
        known: rows over facts whose prompts are all completed correctly.
        everything: rows over all facts.
        panels: (locator, drawing) of the distributions over facts.
        grown: averaged scores: (locator, rule, cells by number of facts).
        sizes: numbers of facts in `grown`.
        refined: (metric, number) of the knowledge neurons refined over prompts, with the rule.
        own: why there are no rewrites by the model itself; empty if there are.
        dropped: what was left out: (what, reason, count).
        verdicts: (locator, sentence) for the first rule of each locator.
        tracing: maps of causal tracing, None without.
    """

    model: str
    facts: str
    n_facts: int
    n_known: int
    known: list[FactRow]
    everything: list[FactRow]
    panels: list[tuple[str, Markup]]
    grown: list[tuple[str, str, str, list[Number]]]
    sizes: list[int]
    refined: list[tuple[str, str, Number]]
    own: str
    dropped: list[tuple[str, str, int]]
    verdicts: list[tuple[str, str]]
    tracing: TracingView | None


def fidelity_views(inputs: Inputs) -> list[FactView]:
    """Every model with every set of facts; empty if the run has no such table."""
    rows = inputs.tables.get("fidelity", [])
    named = [row for row in rows if row["metric"] == "facts"]
    found = dict.fromkeys((row["model"], row["dataset"]) for row in named)
    return [
        _view(
            inputs, model, facts, [r for r in rows if (r["model"], r["dataset"]) == (model, facts)]
        )
        for model, facts in found
    ]  # fmt: skip


def task_rows(inputs: Inputs) -> list[tuple[str, str, list[Number]]]:
    """Knowledge neurons of single samples: (model, data set, size and overlaps)."""
    rows = inputs.tables.get("fidelity", [])
    columns = ("same data set", "other data set", "random by layer", "random uniform")
    result = []
    for model in inputs.spec["models"]:
        for task in inputs.tasks:
            own = [r for r in rows if (r["model"], r["dataset"]) == (model, task.id)]
            if own:
                cells = [_number(own, metric="located_count")]
                cells += [_number(own, metric="overlap", comparison=name) for name in columns]
                result.append((model, task.title, cells))
    return result


def _view(inputs: Inputs, model: str, facts: str, rows: list[Row]) -> FactView:
    counts = {row["facts"]: int(row["value"]) for row in rows if row["metric"] == "facts"}
    known, everything = (list(_rows(rows, group)) for group in ("known", "all"))
    shown = "known" if any(r.numbers["rewrite"].has_value for r in known) else "all"
    own = next((r["interval"] for r in rows if r["rewrite"] == "own" and not r["rule"]), "")
    sizes, grown = _grown(inputs, rows, shown)
    dropped = {
        (row["comparison"], row["interval"]): int(row["value"])
        for row in rows
        if row["metric"] == "dropped"
    }
    return FactView(
        model=model,
        facts=facts,
        n_facts=counts["all"],
        n_known=counts["known"],
        known=known,
        everything=everything,
        panels=list(_panels(rows, shown, f"{model}-{facts}")),
        grown=grown,
        sizes=sizes,
        refined=_refined(rows),
        own=own,
        dropped=[(what, reason, n) for (what, reason), n in sorted(dropped.items())],
        verdicts=list(_verdicts(known if shown == "known" else everything)),
        tracing=tracing_view(inputs, model, facts),
    )


def _rules(rows: Iterable[Row]) -> Iterator[tuple[str, str, str]]:
    """(locator, rule, rewrite) in the order of `LOCATORS`; the first rule of each comes first."""
    found = dict.fromkeys(
        (row["locator"], row["rule"], row["rewrite"])
        for row in rows
        if row["metric"] == "overlap" and row["comparison"] == "rewrite" and not row["fact"]
    )
    first = {row["locator"]: row["rule"] for row in rows if row["role"] == "primary"}
    order = list(LOCATORS)
    yield from sorted(
        found,
        key=lambda key: (
            order.index(key[0]),
            key[1] != first.get(key[0]),
            _leading(key[1]),
            key[1:],
        ),
    )


def _leading(rule: str) -> float:
    """The number that a rule begins with, to sort by it."""
    found = re.match(r"[0-9.]+", rule)
    return float(found[0]) if found else 0.0


def _rows(rows: list[Row], group: str) -> Iterator[FactRow]:
    for locator, rule, rewrite in _rules(rows):
        of_rule = [
            r
            for r in rows
            if (r["locator"], r["rule"], r["rewrite"]) == (locator, rule, rewrite)
            and r["facts"] == group
            and not r["fact"]
        ]  # fmt: skip
        numbers = {
            name: _number(of_rule, metric="overlap", comparison=name)
            for name in ("rewrite", *CONTROLS)
        }
        yield FactRow(
            locator=LOCATORS[locator],
            rule=rule,
            rewrite=_REWRITES[rewrite],
            size=_number(of_rule, metric="located_count"),
            share=_number(of_rule, metric="located_share"),
            numbers=numbers,
            iou=_number(of_rule, metric="iou", comparison="rewrite"),
            difference=_number(of_rule, metric="rewrite_minus_overlap", comparison="same relation"),
            empty=_number(of_rule, metric="empty_pairs", comparison="rewrite"),
        )


def _number(rows: Iterable[Row], **where: Any) -> Number:
    found = next((r for r in rows if all(r[k] == v for k, v in where.items())), None)
    return number(found, "–" if found is None else "empty sets")


def _panels(rows: list[Row], group: str, slug: str) -> Iterator[tuple[str, Markup]]:
    """One drawing for the first rule of each locator: the values of all facts."""
    drawn = set()
    for locator, rule, rewrite in _rules(rows):
        if locator in drawn:
            continue
        drawn.add(locator)
        points, means = [], []
        for comparison, series in _DRAWN:
            own = [
                r
                for r in rows
                if (r["locator"], r["rule"], r["rewrite"], r["facts"], r["comparison"], r["metric"])
                == (locator, rule, rewrite, group, comparison, "overlap")
            ]
            values = sorted(r["value"] for r in own if r["fact"])
            n = max(1, len(values) - 1)
            points += [
                {"comparison": comparison, "value": 100 * value, "offset": i / n}
                for i, value in enumerate(values)
            ]
            mean = _number([r for r in own if not r["fact"]], comparison=comparison)
            if mean.has_value:
                means.append(
                    {
                        "comparison": comparison, "value": 100 * (mean.value or 0),
                        "low": 100 * mean.bottom, "high": 100 * mean.top, "series": series.key,
                    }
                )  # fmt: skip
        if points:
            spoken = "; ".join(f"{m['comparison']} {m['value']:.0f} %" for m in means)
            label = f"{LOCATORS[locator]}, overlap by fact, means: {spoken}"
            name = f"fidelity-{slug}-{locator}"
            yield LOCATORS[locator], inline_svg(_distribution(points, means), name, label)


def _distribution(points: list[dict[str, Any]], means: list[dict[str, Any]]) -> alt.TopLevelMixin:
    """Every fact as a dot, sorted upwards within its row; the mean with its interval below."""
    names = [comparison for comparison, _ in _DRAWN]
    present = [name for name in names if any(p["comparison"] == name for p in points)]
    colours = alt.Scale(domain=names, range=[series.colour for _, series in _DRAWN])
    y = alt.Y("comparison:N", sort=present, title=None, axis=alt.Axis(grid=True, tickBand="extent"))
    x = alt.X("value:Q", title="overlap, %", scale=alt.Scale(domain=[0, 100]))
    colour = alt.Color("comparison:N", scale=colours, legend=None)
    offset = alt.YOffset("offset:Q", scale=alt.Scale(domain=[-0.9, 1.2], reverse=True))
    dots = alt.Chart(alt.Data(values=points)).mark_circle(size=16, opacity=0.55)
    base = alt.Chart(alt.Data(values=[m | {"offset": -0.5} for m in means]))
    spans = base.mark_rule(size=2).encode(
        y=y, yOffset=offset, color=colour, x=alt.X("low:Q"), x2="high:Q"
    )
    diamonds = base.mark_point(filled=True, shape="diamond", size=70, opacity=1)
    return alt.layer(
        dots.encode(x=x, y=y, yOffset=offset, color=colour),
        spans,
        diamonds.encode(x=x, y=y, yOffset=offset, color=colour),
    ).properties(width=230, height=alt.Step(40, **{"for": "position"}))  # fmt: skip


def _grown(
    inputs: Inputs, rows: list[Row], group: str
) -> tuple[list[int], list[tuple[str, str, str, list[Number]]]]:
    """Averages over more and more facts, by the rule of KN and the headline mask."""
    own = [r for r in rows if r["metric"] == "grown_overlap" and r["facts"] == group and r["rule"]]
    sizes = sorted({r["averaged_facts"] for r in own})
    headline = f"mask {inputs.spec['headline_mask']}"
    keys = dict.fromkeys(
        (r["locator"], r["rule"], r["rewrite"], r["comparison"])
        for r in own
        if not r["rule"].startswith("mask ") or r["rule"] == headline
    )
    result = []
    for locator, rule, rewrite, comparison in sorted(
        keys, key=lambda k: (list(LOCATORS).index(k[0]), k[1], k[2], k[3] != "rewrite")
    ):
        cells = [
            _number(
                own, locator=locator, rule=rule, rewrite=rewrite, comparison=comparison,
                averaged_facts=n,
            )
            for n in sizes
        ]  # fmt: skip
        name = "same facts, rewritten" if comparison == "rewrite" else "other facts"
        result.append((LOCATORS[locator], rule, name, cells))
    return sizes, result


def _refined(rows: list[Row]) -> list[tuple[str, str, Number]]:
    own = [r for r in rows if r["rule"].startswith("refined")]
    names = {
        ("", "located_count"): "neurons of a fact",
        ("same answer", "overlap"): "overlap with facts of the same answer, %",
        ("same relation", "overlap"): "overlap with other facts of the relation, %",
        ("other relation", "overlap"): "overlap with facts of other relations, %",
    }
    return [
        (row["rule"], names[row["comparison"], row["metric"]], number(row, "empty sets"))
        for row in own
        if (row["comparison"], row["metric"]) in names
    ]


def _verdicts(rows: list[FactRow]) -> Iterator[tuple[str, str]]:
    """What the difference between rewrites and other facts of the relation says."""
    seen = set()
    for row in rows:
        if row.locator in seen:
            continue
        seen.add(row.locator)
        found = row.difference
        if found.value is None or found.low is None or found.high is None:
            yield row.locator, f"No verdict: {found.reason}."
            continue
        points = f"{percent(found.value)} points ({percent(found.low)} to {percent(found.high)})"
        if found.low > 0:
            text = (
                f"tells facts apart here: a rewrite agrees by {points} more with its own fact than "
                "rewrites of other facts of the same relation do."
            )
        elif found.high < 0:
            text = (
                f"does not localise facts here: rewrites of other facts of the relation agree even "
                f"better; the difference is {points}."
            )
        else:
            text = (
                "does not localise facts here: a rewrite agrees with its own fact no better than "
                f"rewrites of other facts of the relation do; the difference is {points}."
            )
        yield row.locator, text
