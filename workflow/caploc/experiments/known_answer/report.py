"""The page about planted models: surgery check, ranking of the locators, null checks."""

from collections.abc import Mapping
from typing import Any

import altair as alt
import polars as pl

from caploc.experiments.known_answer.table import ALL, EFFECTIVE
from caploc.report.numbers import matching
from caploc.report.palette import LOCATED
from caploc.report.svg import Drawing, inline_svg
from caploc.report.templates import page

__all__ = ["known_answer_page"]

_NOTHING = pl.col("metric").is_in([
    "calibration", "specificity", "agreement", "located_effect", "own_minus_other", "base_accuracy",
])  # fmt: skip


def known_answer_page(title: str, frame: pl.DataFrame) -> str:
    """The page as HTML text; needs nothing else.

    Args:
        title: heading.
        frame: the table `known_answer`.
    """
    planted = frame.drop_nulls("seed").with_columns(
        name=pl.format("{}, {}, {}", "plant", "seed", "dataset")
    )
    # Means over everything, of locators that read all their samples.
    means = frame.filter(pl.col("seed").is_null(), pl.col("dataset") == "", pl.col("locator") != "")
    means = means.filter(pl.col("n_samples") == pl.col("n_samples").max().over("locator"))
    ranked = matching(means, truth=ALL, metric="average_precision", sigma=None, rule="", set="")
    ranked = ranked.sort("value", descending=True, maintain_order=True)
    return page(
        "known_answer/page.html.jinja",
        title=title,
        shown=_shown,
        plants=matching(planted, locator="").partition_by("name", maintain_order=True),
        means=means,
        all=ALL,
        effective=EFFECTIVE,
        ranked=ranked["locator"],
        figure=_figure(means),
        nothing=planted.filter(_NOTHING).to_dicts(),
    )


def _figure(means: pl.DataFrame) -> Drawing | None:
    """Average precision of every locator, the best on top; None if no plant was ranked."""
    wanted = matching(means, metric="average_precision")
    best = matching(wanted, truth=ALL).sort("value", descending=True, maintain_order=True)
    if best.is_empty():
        return None
    told = ", ".join(f"{r['locator']} {_shown(r)}" for r in best.iter_rows(named=True))
    values = wanted.select("locator", "truth", "value", low="ci_low", high="ci_high")
    base = alt.Chart(alt.Data(values=values.to_dicts())).encode(
        y=alt.Y("locator:N", sort=best["locator"].to_list(), title=None)
    )
    x = alt.X("value:Q", title="average precision", scale=alt.Scale(domain=[0, 1]))
    spans = base.mark_rule(color=LOCATED.colour, opacity=0.5).encode(x="low:Q", x2="high:Q")
    filled = base.transform_filter(alt.datum.truth == ALL).mark_point(
        filled=True, size=55, opacity=1, color=LOCATED.colour
    )
    hollow = base.transform_filter(alt.datum.truth != ALL).mark_point(
        size=55, opacity=1, color=LOCATED.colour
    )
    layers = alt.layer(spans, filled.encode(x=x), hollow.encode(x=x))
    label = f"Average precision of the locators, best first: {told}"
    chart = layers.properties(width=240, height=alt.Step(22))
    return inline_svg(chart, "known-answer-precision", label)


def _shown(found: Mapping[str, Any] | None) -> str:
    """A row as text: its value, the range if there is one, and the note."""
    if found is None or found["value"] is None:
        return "–"
    span = ""
    if found["ci_low"] is not None and found["ci_low"] != found["ci_high"]:
        span = f" ({found['ci_low']:.2f} to {found['ci_high']:.2f})"
    # The task that changes most stands in the note.
    note = f" {found['note']}" if found["note"] else ""
    return f"{found['value']:.2f}{span}{note}"
