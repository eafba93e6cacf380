"""The page about planted models: surgery check, ranking of the locators, null checks."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import altair as alt
import jinja2
from markupsafe import Markup

from caploc.report.palette import LOCATED
from caploc.report.svg import inline_svg

__all__ = ["known_answer_page"]

Row = Mapping[str, Any]
ALL, EFFECTIVE = "all planted", "effective planted"
_NULLS = ("calibration", "specificity", "agreement", "located_effect", "own_minus_other",
          "base_accuracy")  # fmt: skip
_DECOYS = ("shared", "loud", "cancelling", "negative")


def known_answer_page(title: str, rows: Sequence[Row]) -> str:
    """The page as HTML text; needs nothing else.

    Args:
        title: heading.
        rows: of the table `known_answer`.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("caploc", "report"), autoescape=True, trim_blocks=True,
        lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    style = files("caploc.report").joinpath("page.css").read_text(encoding="utf-8")
    means = _full(rows)
    ranking = _ranking(means)
    figure = inline_svg(_figure(means), "known-answer-precision", _spoken(ranking)) if means else ""
    return environment.get_template("known_answer.html.jinja").render(
        title=title, style=Markup(style), plants=_plants(rows), ranking=ranking, figure=figure,
        ranking_columns=_COLUMNS, nothing=_nothing(rows),
    )  # fmt: skip


def _plants(rows: Sequence[Row]) -> list[dict[str, Any]]:
    found = []
    for name, of in _by_plant(rows).items():
        values = {(r["metric"], r["set"]): r for r in of if not r["locator"]}
        usable = values["usable", ""]
        keys = [
            ("accuracy", ""), ("accuracy", "planted"), ("chance", ""),
            ("worst_other_change", "planted"), ("worst_random_change", "random"),
        ]  # fmt: skip
        cells = [_told(values.get(key)) for key in keys]
        effective = values.get(("effective", ""))
        cells.append("–" if effective is None else f"{effective['value']:.0f} of {effective['n']}")
        cells.append("yes" if usable["value"] else f"no: {usable['note']}")
        found.append({"name": name, "cells": cells})
    return found


def _by_plant(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row["seed"] is not None:
            name = f"{row['plant']}, {row['seed']}, {row['dataset']}"
            found.setdefault(name, []).append(row)
    return found


def _full(rows: Sequence[Row]) -> list[Row]:
    """Means over everything, of locators that read all their samples."""
    means = [r for r in rows if r["seed"] is None and not r["dataset"] and r["locator"]]
    most: dict[str, int] = {}
    for row in means:
        most[row["locator"]] = max(most.get(row["locator"], 0), row["n_samples"])
    return [r for r in means if r["n_samples"] == most[r["locator"]]]


_COLUMNS = (
    "average precision", "of effective ones", "ROC area", "precision at n", "sigma 6: precision",
    "sigma 6: recall", *(f"places of {kind} decoys" for kind in _DECOYS),
)  # fmt: skip


def _ranking(means: Sequence[Row]) -> list[dict[str, Any]]:
    values: dict[tuple[Any, ...], Row] = {}
    for r in means:
        key = (r["locator"], r["truth"], r["metric"], r["sigma"], r["rule"], r["set"])
        values[key] = r
    names = [k[0] for k in values if k[1:] == (ALL, "average_precision", None, "", "")]
    names.sort(key=lambda n: -values[n, ALL, "average_precision", None, "", ""]["value"])
    table = []
    for name in names:
        keys: list[tuple[Any, ...]] = [
            (name, truth, metric, None, "", "")
            for truth, metric in (
                (ALL, "average_precision"), (EFFECTIVE, "average_precision"), (ALL, "roc_area"),
                (ALL, "precision_at_n"),
            )
        ]  # fmt: skip
        keys += [(name, ALL, metric, 6.0, "std", "") for metric in ("precision", "recall")]
        keys += [(name, "", "share_of_first", None, "", kind) for kind in _DECOYS]
        table.append({"name": name, "cells": [_told(values.get(key)) for key in keys]})
    return table


def _nothing(rows: Sequence[Row]) -> list[dict[str, Any]]:
    found = []
    for name, of in _by_plant(rows).items():
        for row in of:
            if row["metric"] in _NULLS:
                check = row["metric"].replace("_", " ")
                if row["sigma"] is not None:
                    check += f", a = {row['sigma']:g}"
                if row["rule"]:
                    check += f" ({row['rule']})"
                value = "–" if row["value"] is None else f"{row['value']:.3f}"
                span = ""
                if row["ci_low"] is not None:
                    span = f"{row['ci_low']:.3f} to {row['ci_high']:.3f}, {row['interval']}"
                found.append({"name": name, "cells": [check, value, span, row["note"]]})
    return found


def _told(row: Row | None) -> str:
    if row is None or row["value"] is None:
        return "–"
    span = ""
    if row["ci_low"] is not None and row["ci_low"] != row["ci_high"]:
        span = f" ({row['ci_low']:.2f} to {row['ci_high']:.2f})"
    # The task that changes most stands in the note.
    note = f" {row['note']}" if row["note"] else ""
    return f"{row['value']:.2f}{span}{note}"


def _figure(means: Sequence[Row]) -> alt.TopLevelMixin:
    wanted = [r for r in means if r["metric"] == "average_precision"]
    order = sorted((r for r in wanted if r["truth"] == ALL), key=lambda r: -r["value"])
    values = [
        {"locator": r["locator"], "truth": r["truth"], "value": r["value"], "low": r["ci_low"],
         "high": r["ci_high"]}
        for r in wanted
    ]  # fmt: skip
    base = alt.Chart(alt.Data(values=values)).encode(
        y=alt.Y("locator:N", sort=[r["locator"] for r in order], title=None)
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


def _spoken(ranking: Sequence[dict[str, Any]]) -> str:
    told = ", ".join(f"{row['name']} {row['cells'][0]}" for row in ranking)
    return f"Average precision of the locators, best first: {told}"
