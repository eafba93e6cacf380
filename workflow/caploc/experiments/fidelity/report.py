"""The section about single facts: which rows of the table `fidelity` it is about."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from caploc.experiments.fidelity._example import fact_example
from caploc.experiments.fidelity._figure import distributions
from caploc.experiments.fidelity._tracing import tracing_view
from caploc.experiments.fidelity.table import FIDELITY, TRACING
from caploc.report import locators
from caploc.report.findings import Finding
from caploc.report.formatting import Number
from caploc.report.inputs import Inputs
from caploc.report.numbers import matching, number
from caploc.report.views import View, of_samples

__all__ = ["CONTENTS", "ORDER", "TABLES", "findings", "section"]

TABLES = {"fidelity": FIDELITY, "tracing": TRACING}
ORDER = 50
CONTENTS = (("fidelity", "Single facts"),)
_LINE = ["locator", "rule", "rewrite"]


def section(inputs: Inputs) -> dict[str, Any] | None:
    """Every model with every set of facts, None if the run has no such table.

    Returns:
        ``example`` (`fact_example` with the ``locator``'s title, None without), ``names`` (titles
        of locators by id), ``paper`` (its overlaps by title), ``frame``, all rows, and ``views``,
        each with its rows ``frame``, ``shown`` ("known": facts whose prompts are all completed, or
        "all"), ``lines`` (locator, rule and rewrite), ``panels`` (locator, drawing), ``grown``
        (scores averaged over so many facts) and its ``averages``, and ``tracing``, None without.
    """
    frame = inputs.tables["fidelity"]
    names = locators.titles(inputs, frame)
    found = [
        _view(inputs, own, names)
        for own in of_samples(inputs, "fidelity")
        if not matching(own, metric="facts").is_empty()
    ]
    if not found:
        return None
    example = None
    if "fact_prompts" in inputs.files:
        example = fact_example(inputs.files["fact_prompts"], inputs.files["fact_sets"])
    return {
        "example": example and example | {"locator": next(iter(names.values()))},
        "names": names,
        "paper": locators.paper(names, "fidelity"),
        "frame": frame,
        "views": found,
    }


def findings(view: View) -> list[Finding]:
    """Which locators tell facts apart."""
    names = locators.titles(view.inputs, view.inputs.tables["fidelity"])
    differences: list[tuple[str, Number]] = []
    for own in of_samples(view.inputs, "fidelity", view):
        first = _lines(own, list(names)).unique("locator", keep="first", maintain_order=True)
        for group in ("known", "all"):
            found = [
                (names[line["locator"]], _difference(own, group, line))
                for line in first.iter_rows(named=True)
            ]
            if any(one.has_value for _, one in found):
                break
        differences += found
    return locators.tested("Single facts", "fidelity", differences)


def _difference(frame: pl.DataFrame, group: str, line: Mapping[str, Any]) -> Number:
    """Rewrites minus other facts of the relation: the number that decides."""
    return number(
        frame, "empty sets", "–", fact="", facts=group, metric="rewrite_minus_overlap",
        comparison="same relation", **line,
    )  # fmt: skip


def _view(inputs: Inputs, frame: pl.DataFrame, names: Mapping[str, str]) -> dict[str, Any]:
    model, facts = frame["model"][0], frame["dataset"][0]
    lines = _lines(frame, list(names))
    overlaps = matching(frame, metric="overlap", comparison="rewrite", fact="", facts="known")
    known = overlaps.join(lines, on=_LINE, how="semi")["value"].is_not_null().any()
    shown = "known" if known else "all"
    own = matching(frame, facts=shown)
    first = lines.unique("locator", keep="first", maintain_order=True)
    grown, averages = _grown(inputs, own, names)
    return {
        "frame": frame,
        "shown": shown,
        "lines": lines.to_dicts(),
        "panels": distributions(own, first, names, f"{model}-{facts}"),
        "grown": grown,
        "averages": averages,
        "tracing": tracing_view(inputs, model, facts),
    }


def _lines(frame: pl.DataFrame, order: Sequence[str]) -> pl.DataFrame:
    """locator, rule, rewrite: locators in this order, the rule that decides before others."""
    found = matching(frame, metric="overlap", comparison="rewrite", fact="")
    deciding = matching(frame, role="primary").select("locator", "rule", decides=True).unique()
    leading = pl.col("rule").str.extract(r"^([0-9.]+)").cast(pl.Float64).fill_null(0.0)
    return (
        found.select(_LINE)
        .unique(maintain_order=True)
        .join(deciding, on=["locator", "rule"], how="left", maintain_order="left")
        .sort(_place(order), pl.col("decides").is_null(), leading, "rule", "rewrite")
        .select(_LINE)
    )


def _place(order: Sequence[str]) -> pl.Expr:
    """Sorts locators in this order."""
    return pl.col("locator").cast(pl.Enum(order))


def _grown(
    inputs: Inputs, frame: pl.DataFrame, names: Mapping[str, str]
) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """Averages over more and more facts, and what tells them apart: the headline mask alone."""
    grown = matching(frame, metric="grown_overlap").filter(pl.col("rule") != "")
    mask = pl.col("rule").str.starts_with("mask ")
    own = grown.filter(~mask | (pl.col("rule") == f"mask {inputs.spec['headline_mask']}"))
    rewritten = pl.col("comparison") == "rewrite"
    keys = own.select(*_LINE, "comparison").unique(maintain_order=True)
    order = [_place(list(names)), pl.col("rule"), pl.col("rewrite"), ~rewritten]
    return grown, keys.sort(order, maintain_order=True).to_dicts()
