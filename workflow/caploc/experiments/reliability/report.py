"""The section on reliability: rows of the table `reliability`, pivoted; nothing is computed."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from caploc.experiments.reliability._shared_metric import shared_view
from caploc.experiments.reliability.table import RELIABILITY
from caploc.report import locators
from caploc.report.findings import Finding
from caploc.report.formatting import Number, in_points, percent
from caploc.report.inputs import Inputs
from caploc.report.numbers import matching, number, remarks
from caploc.report.views import View

__all__ = ["CONTENTS", "KINDS", "ORDER", "TABLES", "findings", "section"]

TABLES = {"reliability": RELIABILITY}
ORDER = 60
CONTENTS = (("reliability", "Acting on located facts"),)
KINDS = ("located", "best random", "ipp", "best per fact", "mean of random", "cross-fitted", "null")
_MEASURES = ("efficacy", "paraphrase", "neighbourhood", "margin", "fluency", "effect")
_EXPLAINED = {"tracing": "the tracing effect", "layer": "the layer alone", "both": "both"}
_REMARKS = {
    "dropped": "{title}: {value:.0f} facts left out ({interval})",
    "empty_sets": "{title}, {rule}: {value:.0f} of {n} sets are empty",
    "facts_without": "{title}: {value:.0f} of {n} facts have no prompts for {measure}",
    "singular": "layer {layer}: {interval}",
}


def section(inputs: Inputs) -> dict[str, Any] | None:
    """Every model with every set of facts, None if the run has no such table.

    Returns:
        ``paper`` (its IPP by title of the locator) and ``views``, each with its ``model``,
        ``facts``, ``n_known`` (facts that the model completes correctly: the others are in no
        number), ``verdicts`` by locator, ``rows`` of IPP, ``layers`` (layer or "unedited"; numbers
        in the order of efficacy, paraphrase, ...), ``explained`` (R squared by the tracing effect,
        by the layer, by both), ``remarks`` on what was left out or regularised, and ``shared``, all
        locators by one metric, None without.
    """
    frame = inputs.tables.get("reliability")
    if frame is None or frame.is_empty():
        return None
    names = locators.titles(inputs, frame)
    by_facts = frame.partition_by("model", "dataset", maintain_order=True)
    return {
        "paper": locators.paper(names, "reliability"),
        "views": [_view(own, names) for own in by_facts],
    }


def findings(view: View) -> list[Finding]:
    """Which locators do more than the best random choice."""
    frame = view.inputs.tables.get("reliability")
    # Facts know no method: they are told of beside the first one.
    if frame is None or view.method != view.inputs.spec["methods"][0]:
        return []
    own = matching(frame, model=view.model)
    names = locators.titles(view.inputs, frame)
    rows = [
        row
        for part in own.partition_by("dataset", maintain_order=True)
        for row in _ipp_rows(part, names)
    ]
    differences = [(row["locator"], row["ipp"]) for row in rows if row["primary"]]
    text = "Acting on what a locator found should do more than acting on the best random choice."
    return locators.tested("Acting on facts", text, ("does more", "do more"), differences)


def _view(frame: pl.DataFrame, names: Mapping[str, str]) -> dict[str, Any]:
    known = matching(frame, metric="facts")["value"]
    rows = _ipp_rows(frame, names)
    titled = frame.with_columns(title=pl.col("locator").replace(names))
    return {
        "model": frame["model"][0],
        "facts": frame["dataset"][0],
        "n_known": int(max(known, default=0)),
        "verdicts": {row["locator"]: _verdict(row) for row in rows if row["primary"]},
        "rows": rows,
        "layers": _layers(frame),
        "explained": {
            title: _number(frame, metric="r_squared", measure=f"margin explained by {name}")
            for name, title in _EXPLAINED.items()
        },
        "remarks": remarks(titled, _REMARKS),
        "shared": shared_view(titled, names),
    }


def _number(frame: pl.DataFrame, **where: Any) -> Number:
    return number(frame, "", "–", **where)


def _ipp_rows(frame: pl.DataFrame, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """A row for each locator, validation and random pool.

    Returns:
        Title of the ``locator``, ``rule`` (what counts as located), ``control`` (the random pool),
        ``measure`` (what performance means), ``primary`` (this row decides), ``n_draws`` (R, sets
        in the pool), ``ipp`` and ``null``, and ``numbers`` in the order of `KINDS`.
    """
    keys = ["locator", "rule", "control", "measure"]
    heads = matching(frame, metric="ipp").unique(keys, keep="first", maintain_order=True)
    heads = heads.sort(pl.col("locator").cast(pl.Enum(list(names))), maintain_order=True)
    rows = []
    for head in heads.select(*keys, "n_draws").iter_rows(named=True):
        own = matching(frame, **{name: head[name] for name in keys})
        numbers = {kind: _number(own, metric=kind) for kind in KINDS}
        rows.append(
            head
            | {"locator": names[head["locator"]], "primary": "primary" in own["role"]}
            | {"ipp": numbers["ipp"], "null": numbers["null"], "numbers": list(numbers.values())}
        )
    return rows


def _layers(frame: pl.DataFrame) -> dict[str, list[Number]]:
    own = matching(frame, rule="every layer", metric="mean")
    return {
        "unedited" if layer < 0 else f"layer {layer}": [
            _number(own, layer=layer, measure=measure) for measure in _MEASURES
        ]
        for layer in own["layer"].unique().sort()
    }


def _verdict(row: Mapping[str, Any]) -> str:
    """What IPP, beside its null row, says of one locator."""
    found, null = row["ipp"], row["null"]
    if found.value is None:
        return f"No verdict: {found.reason}."
    beside = "" if null.value is None else f"; a random set in its place: {percent(null.value)}"
    text = f"{row['measure']}, {row['rule']}: located minus the best of {row['n_draws']} is "
    text += f"{in_points(found)}{beside}. "
    if found.bottom > 0:
        return text + "The located set does more here than the best random one."
    if found.top < 0:
        return text + "A random choice does more here than the located one."
    return text + "The located set is not told apart from the best random one."
