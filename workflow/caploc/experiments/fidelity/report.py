"""The section about single facts: rows of the table `fidelity`, pivoted; nothing is computed."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from caploc.experiments.fidelity._example import fact_example
from caploc.experiments.fidelity._figure import distributions
from caploc.experiments.fidelity._tracing import tracing_view
from caploc.experiments.fidelity.table import FIDELITY, TRACING
from caploc.report import locators
from caploc.report.findings import Finding
from caploc.report.formatting import Number, in_points
from caploc.report.inputs import Inputs
from caploc.report.numbers import matching, number, row
from caploc.report.views import View

__all__ = ["CONTENTS", "ORDER", "TABLES", "findings", "section"]

TABLES = {"fidelity": FIDELITY, "tracing": TRACING}
ORDER = 50
CONTENTS = (("fidelity", "Single facts"),)
_REWRITES = {
    "template": "other template of the relation",
    "paraphrase": "paraphrase of the data set",
    "own": "rewrite by the model itself",
}
# Numbers of a line of the table: metric and comparison.
_CELLS = (
    ("overlap", "rewrite"), ("iou", "rewrite"), ("overlap", "same answer"),
    ("overlap", "same relation"), ("overlap", "same wording"), ("overlap", "other relation"),
    ("overlap", "random by layer"), ("overlap", "random uniform"),
    ("rewrite_minus_overlap", "same relation"),
)  # fmt: skip
_REFINED = {
    ("located_count", ""): "neurons of a fact",
    ("overlap", "same answer"): "overlap with facts of the same answer, %",
    ("overlap", "same relation"): "overlap with other facts of the relation, %",
    ("overlap", "other relation"): "overlap with facts of other relations, %",
}
_OF_TASKS = (
    ("located_count", ""), ("overlap", "same data set"), ("overlap", "other data set"),
    ("overlap", "random by layer"), ("overlap", "random uniform"),
)  # fmt: skip


def section(inputs: Inputs) -> dict[str, Any] | None:
    """Every model with every set of facts, None if the run has no such table.

    Returns:
        ``example`` (`fact_example` with the ``locator``'s title, None without), ``paper`` (its
        overlaps by title), ``tasks`` (samples of the tasks: model, data set, numbers in the order
        of `_OF_TASKS`) and ``views``, each with its
        ``model``, ``facts``, ``n_facts`` asked, ``n_known`` whose original prompt the model
        completes, tables ``known`` (facts whose prompts are all completed) and ``everything``,
        ``panels`` (locator, drawing), ``sizes`` and ``grown`` (scores averaged over so many facts:
        locator, rule, what is compared, numbers), ``refined`` (rule, quantity, number), ``own``
        (why there are no rewrites by the model itself), ``dropped`` (what, reason, count),
        ``verdicts`` by locator, and ``tracing``, None without.
    """
    frame = inputs.tables.get("fidelity")
    if frame is None:
        return None
    names = locators.titles(inputs, frame)
    views = [
        _view(inputs, own, names)
        for own in frame.partition_by("model", "dataset", maintain_order=True)
        if not matching(own, metric="facts").is_empty()
    ]
    if not views:
        return None
    tasks = [
        (model, task.title, [_number(own, metric=m, comparison=c) for m, c in _OF_TASKS])
        for model in inputs.spec["models"]
        for task in inputs.tasks
        if not (own := matching(frame, model=model, dataset=task.id)).is_empty()
    ]
    return {
        "example": _example(inputs, names),
        "paper": locators.paper(names, "fidelity"),
        "tasks": tasks,
        "views": views,
    }


def _example(inputs: Inputs, names: Mapping[str, str]) -> dict[str, Any] | None:
    """Worked example of the first locator, with the ``locator``'s title."""
    if "fact_prompts" not in inputs.files:
        return None
    found = fact_example(inputs.files["fact_prompts"], inputs.files["fact_sets"])
    return found and found | {"locator": next(iter(names.values()))}


def findings(view: View) -> list[Finding]:
    """Which locators tell facts apart."""
    frame = view.inputs.tables.get("fidelity")
    # Facts know no method: they are told of beside the first one.
    if frame is None or view.method != view.inputs.spec["methods"][0]:
        return []
    names = locators.titles(view.inputs, frame)
    differences: list[tuple[str, Number]] = []
    for own in matching(frame, model=view.model).partition_by("dataset", maintain_order=True):
        rules = _rules(own, list(names))
        known, everything = (_table(own, group, rules, names) for group in ("known", "all"))
        computed = any(line["difference"].has_value for line in known)
        differences += _differences(known if computed else everything).items()
    text = (
        "Asked for in other words, a fact should lead a locator to the same place, and another "
        "fact of the same relation should not."
    )
    verbs = ("tells facts apart", "tell facts apart")
    return locators.tested("Single facts", text, verbs, differences)


def _view(inputs: Inputs, frame: pl.DataFrame, names: Mapping[str, str]) -> dict[str, Any]:
    model, facts = frame["model"][0], frame["dataset"][0]
    rules = _rules(frame, list(names))
    tables = {group: _table(frame, group, rules, names) for group in ("known", "all")}
    shown = "known" if any(line["cells"][0].has_value for line in tables["known"]) else "all"
    first = rules.unique("locator", keep="first", maintain_order=True)
    sizes, grown = _grown(inputs, matching(frame, facts=shown), names)
    left_out = matching(frame, metric="dropped").unique(["comparison", "interval"], keep="last")
    return {
        "model": model,
        "facts": facts,
        "n_facts": int(number(frame, metric="facts", facts="all").value or 0),
        "n_known": int(number(frame, metric="facts", facts="known").value or 0),
        "known": tables["known"],
        "everything": tables["all"],
        "panels": distributions(matching(frame, facts=shown), first, names, f"{model}-{facts}"),
        "sizes": sizes,
        "grown": grown,
        "refined": _refined(frame),
        "own": (row(frame, rewrite="own", rule="") or {"interval": ""})["interval"],
        "dropped": left_out.select("comparison", "interval", pl.col("value").cast(int))
        .sort("comparison", "interval")
        .rows(),
        "verdicts": {
            locator: _verdict(found) for locator, found in _differences(tables[shown]).items()
        },
        "tracing": tracing_view(inputs, model, facts),
    }


def _number(frame: pl.DataFrame, **where: Any) -> Number:
    return number(frame, "empty sets", "–", **where)


def _rules(frame: pl.DataFrame, order: Sequence[str]) -> pl.DataFrame:
    """locator, rule, rewrite: locators in this order, the rule that decides before others."""
    keys = ["locator", "rule", "rewrite"]
    found = matching(frame, metric="overlap", comparison="rewrite", fact="")
    deciding = matching(frame, role="primary").select("locator", "rule", decides=True).unique()
    leading = pl.col("rule").str.extract(r"^([0-9.]+)").cast(pl.Float64).fill_null(0.0)
    return (
        found.select(keys)
        .unique(maintain_order=True)
        .join(deciding, on=["locator", "rule"], how="left", maintain_order="left")
        .sort(_place(order), pl.col("decides").is_null(), leading, "rule", "rewrite")
        .select(keys)
    )


def _place(order: Sequence[str]) -> pl.Expr:
    """Sorts locators in this order."""
    return pl.col("locator").cast(pl.Enum(order))


def _table(
    frame: pl.DataFrame, group: str, rules: pl.DataFrame, names: Mapping[str, str]
) -> list[dict[str, Any]]:
    """A line for each rule and kind of rewrite: mean size and share of located sets, numbers."""
    means = matching(frame, facts=group, fact="")
    lines = []
    for key in rules.iter_rows(named=True):
        own = matching(means, **key)
        cells = [_number(own, metric=metric, comparison=name) for metric, name in _CELLS]
        lines.append(
            {
                "locator": names[key["locator"]],
                "rule": key["rule"],
                "rewrite": _REWRITES.get(key["rewrite"], key["rewrite"]),
                "size": _number(own, metric="located_count"),
                "share": _number(own, metric="located_share"),
                "cells": cells,
                "difference": cells[-1],
                "empty": _number(own, metric="empty_pairs", comparison="rewrite"),
            }
        )
    return lines


def _grown(
    inputs: Inputs, frame: pl.DataFrame, names: Mapping[str, str]
) -> tuple[list[int], list[tuple[str, str, str, list[Number]]]]:
    """Averages over more and more facts, by the rule of KN and the headline mask."""
    own = matching(frame, metric="grown_overlap").filter(pl.col("rule") != "")
    sizes = own["averaged_facts"].unique().sort().to_list()
    mask = pl.col("rule").str.starts_with("mask ")
    own = own.filter(~mask | (pl.col("rule") == f"mask {inputs.spec['headline_mask']}"))
    rewritten = pl.col("comparison") == "rewrite"
    keys = own.select("locator", "rule", "rewrite", "comparison").unique(maintain_order=True)
    keys = keys.sort(_place(list(names)), "rule", "rewrite", ~rewritten, maintain_order=True)
    return sizes, [
        (
            names[key["locator"]],
            key["rule"],
            "same facts, rewritten" if key["comparison"] == "rewrite" else "other facts",
            [_number(own, averaged_facts=n, **key) for n in sizes],
        )
        for key in keys.iter_rows(named=True)
    ]


def _refined(frame: pl.DataFrame) -> list[tuple[str, str, Number]]:
    own = frame.filter(pl.col("rule").str.starts_with("refined"))
    return [
        (rule, _REFINED[metric, name], _number(own, rule=rule, metric=metric, comparison=name))
        for rule, metric, name in own.select("rule", "metric", "comparison").rows()
        if (metric, name) in _REFINED
    ]


def _differences(lines: Sequence[Mapping[str, Any]]) -> dict[str, Number]:
    """Rewrites minus other facts of the relation, by the first rule of every locator."""
    found: dict[str, Number] = {}
    for line in lines:
        found.setdefault(line["locator"], line["difference"])
    return found


def _verdict(found: Number) -> str:
    """What the difference between rewrites and other facts of the relation says."""
    if found.value is None or found.low is None or found.high is None:
        return f"No verdict: {found.reason}."
    if found.low > 0:
        return (
            f"tells facts apart here: a rewrite agrees by {in_points(found)} more with its own "
            "fact than rewrites of other facts of the same relation do."
        )
    if found.high < 0:
        return (
            "does not localise facts here: rewrites of other facts of the relation agree even "
            f"better; the difference is {in_points(found)}."
        )
    return (
        "does not localise facts here: a rewrite agrees with its own fact no better than rewrites "
        f"of other facts of the relation do; the difference is {in_points(found)}."
    )
