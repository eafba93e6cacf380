"""The section on reliability: which rows of the table `reliability` it is about."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from caploc.experiments.reliability._shared_metric import shared_view
from caploc.experiments.reliability.table import RELIABILITY
from caploc.report import locators
from caploc.report.findings import Finding
from caploc.report.inputs import Inputs
from caploc.report.numbers import matching, number
from caploc.report.views import View, of_samples

__all__ = ["CONTENTS", "KINDS", "ORDER", "TABLES", "findings", "section"]

TABLES = {"reliability": RELIABILITY}
ORDER = 60
CONTENTS = (("reliability", "Acting on located facts"),)
KINDS = ("located", "best random", "ipp", "best per fact", "mean of random", "cross-fitted", "null")


def section(inputs: Inputs) -> dict[str, Any] | None:
    """Every model with every set of facts, None if the run has no such table.

    Returns:
        ``paper`` (its IPP by title of the locator) and ``views``, each with its rows ``frame``,
        ``n_known`` (facts that the model completes correctly: the others are in no number),
        ``rows`` of IPP, and ``shared``, all locators by one metric, None without.
    """
    names = locators.titles(inputs, inputs.tables["reliability"])
    found = []
    for frame in of_samples(inputs, "reliability"):
        titled = frame.with_columns(title=pl.col("locator").replace(names))
        known = matching(frame, metric="facts")["value"]
        found.append({
            "frame": titled,
            "n_known": int(max(known, default=0)),
            "rows": _rows(frame, names),
            "shared": shared_view(titled, names),
        })  # fmt: skip
    paper = locators.paper(names, "reliability")
    return {"paper": paper, "views": found} if found else None


def findings(view: View) -> list[Finding]:
    """Which locators do more than the best random choice."""
    names = locators.titles(view.inputs, view.inputs.tables["reliability"])
    frames = of_samples(view.inputs, "reliability", view)
    rows = [row for frame in frames for row in _rows(frame, names) if row["primary"]]
    told = [(row["title"], row["numbers"]["ipp"]) for row in rows]
    return locators.tested("Acting on facts", "reliability", told)


def _rows(frame: pl.DataFrame, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """A row for each locator, validation and random pool.

    Returns:
        ``locator`` and its ``title``, ``rule`` (what counts as located), ``control`` (the random
        pool), ``measure`` (what performance means), ``primary`` (this row decides), ``n_draws`` (R,
        sets in the pool), and ``numbers`` by kind, in the order of `KINDS`.
    """
    keys = ["locator", "rule", "control", "measure"]
    heads = matching(frame, metric="ipp").unique(keys, keep="first", maintain_order=True)
    heads = heads.sort(pl.col("locator").cast(pl.Enum(list(names))), maintain_order=True)
    rows = []
    for head in heads.select(*keys, "n_draws").iter_rows(named=True):
        own = matching(frame, **{name: head[name] for name in keys})
        found = {"title": names[head["locator"]], "primary": "primary" in own["role"]}
        numbers = {kind: number(own, "–", metric=kind) for kind in KINDS}
        rows.append(head | found | {"numbers": numbers})
    return rows
