"""The page about planted models: surgery check, ranking of the locators, null checks."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import altair as alt
import jinja2
import polars as pl
from markupsafe import Markup

from caploc.experiments.known_answer.table import ALL, EFFECTIVE
from caploc.report.numbers import matching, row
from caploc.report.palette import LOCATED
from caploc.report.svg import inline_svg

__all__ = ["known_answer_page"]

_NULLS = ("calibration", "specificity", "agreement", "located_effect", "own_minus_other",
          "base_accuracy")  # fmt: skip
_SURGERY: tuple[dict[str, Any], ...] = (
    {"metric": "accuracy", "set": ""},
    {"metric": "accuracy", "set": "planted"},
    {"metric": "chance", "set": ""},
    {"metric": "worst_other_change", "set": "planted"},
    {"metric": "worst_random_change", "set": "random"},
)
_WHOLE = {"sigma": None, "rule": "", "set": ""}
_RANKING: dict[str, dict[str, Any]] = {
    "average precision": {"truth": ALL, "metric": "average_precision", **_WHOLE},
    "of effective ones": {"truth": EFFECTIVE, "metric": "average_precision", **_WHOLE},
    "ROC area": {"truth": ALL, "metric": "roc_area", **_WHOLE},
    "precision at n": {"truth": ALL, "metric": "precision_at_n", **_WHOLE},
    **{
        f"sigma 6: {metric}": {"truth": ALL, "metric": metric, "sigma": 6.0, "rule": "std"}
        for metric in ("precision", "recall")
    },
    **{
        f"places of {kind} decoys": {"truth": "", "metric": "share_of_first", "set": kind}
        for kind in ("shared", "loud", "cancelling", "negative")
    },
}
"""Columns of the ranking: which number of a locator each shows."""


def known_answer_page(title: str, frame: pl.DataFrame) -> str:
    """The page as HTML text; needs nothing else.

    Args:
        title: heading.
        frame: the table `known_answer`.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("caploc", "experiments/known_answer"), autoescape=True,
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    style = files("caploc.report").joinpath("page.css").read_text(encoding="utf-8")
    planted = frame.drop_nulls("seed").with_columns(
        name=pl.format("{}, {}, {}", "plant", "seed", "dataset")
    )
    plants = planted.partition_by("name", maintain_order=True)
    # Means over everything, of locators that read all their samples.
    means = frame.filter(pl.col("seed").is_null(), pl.col("dataset") == "", pl.col("locator") != "")
    means = means.filter(pl.col("n_samples") == pl.col("n_samples").max().over("locator"))
    ranking, figure = _ranking(means), ""
    if not means.is_empty():
        figure = inline_svg(_figure(means), "known-answer-precision", _spoken(ranking))
    return environment.get_template("page.html.jinja").render(
        title=title,
        style=Markup(style),
        plants={own["name"][0]: _surgery(matching(own, locator="")) for own in plants},
        ranking=ranking,
        figure=figure,
        ranking_columns=list(_RANKING),
        nothing=[line for own in plants for line in _nothing(own)],
    )


def _surgery(frame: pl.DataFrame) -> list[str]:
    """Cells of a plant and capability in the table of the surgery check."""
    usable = row(frame, metric="usable") or {"value": 0.0, "note": "not checked"}
    effective = row(frame, metric="effective", set="")
    return [
        *(_told(row(frame, **where)) for where in _SURGERY),
        "–" if effective is None else f"{effective['value']:.0f} of {effective['n']}",
        "yes" if usable["value"] else f"no: {usable['note']}",
    ]


def _ranking(means: pl.DataFrame) -> dict[str, list[str]]:
    """Cells of every locator, best first."""
    wanted = matching(means, **_RANKING["average precision"])
    best = wanted.sort("value", descending=True, maintain_order=True)["locator"]
    return {
        name: [_told(row(means, locator=name, **where)) for where in _RANKING.values()]
        for name in best
    }


def _nothing(frame: pl.DataFrame) -> list[list[str]]:
    """Plant, check, value, interval and reading of each check in which nothing should be found."""
    lines = []
    for found in frame.filter(pl.col("metric").is_in(_NULLS)).iter_rows(named=True):
        check = found["metric"].replace("_", " ")
        if found["sigma"] is not None:
            check += f", a = {found['sigma']:g}"
        if found["rule"]:
            check += f" ({found['rule']})"
        value = "–" if found["value"] is None else f"{found['value']:.3f}"
        span = ""
        if found["ci_low"] is not None:
            span = f"{found['ci_low']:.3f} to {found['ci_high']:.3f}, {found['interval']}"
        lines.append([found["name"], check, value, span, found["note"]])
    return lines


def _told(found: Mapping[str, Any] | None) -> str:
    if found is None or found["value"] is None:
        return "–"
    span = ""
    if found["ci_low"] is not None and found["ci_low"] != found["ci_high"]:
        span = f" ({found['ci_low']:.2f} to {found['ci_high']:.2f})"
    # The task that changes most stands in the note.
    note = f" {found['note']}" if found["note"] else ""
    return f"{found['value']:.2f}{span}{note}"


def _figure(means: pl.DataFrame) -> alt.TopLevelMixin:
    wanted = matching(means, metric="average_precision")
    order = matching(wanted, truth=ALL).sort("value", descending=True, maintain_order=True)
    values = wanted.select("locator", "truth", "value", low="ci_low", high="ci_high")
    base = alt.Chart(alt.Data(values=values.to_dicts())).encode(
        y=alt.Y("locator:N", sort=order["locator"].to_list(), title=None)
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
    return layers.properties(width=240, height=alt.Step(22))


def _spoken(ranking: Mapping[str, Sequence[str]]) -> str:
    told = ", ".join(f"{name} {cells[0]}" for name, cells in ranking.items())
    return f"Average precision of the locators, best first: {told}"
