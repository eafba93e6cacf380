"""Maps of causal tracing: rows of the table `tracing`, drawn; nothing is computed."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from caploc.report.figures import Panel
from caploc.report.formatting import percent
from caploc.report.inputs import Inputs, Row
from caploc.report.palette import INK, LOCATED, MIXTURE, SOFT
from caploc.report.svg import inline_svg

__all__ = ["TracingView", "tracing_view"]

ROLES = (
    "first subject token", "middle subject tokens", "last subject token", "further tokens",
    "last token",
)  # fmt: skip
STATES = {"residual": "Output of the block", "ffn": "FFN", "attention": "Attention"}
# Marks in front of the words of tokenizers of bytes and of pieces.
_SPACES = ("Ġ", "▁", "Ċ")


@dataclass(frozen=True, slots=True)
class TracingView:
    """Maps of one model and set of facts.

    Attributes:
        group: whose facts were averaged: "known" or "all".
        averaged: one panel for each restored state.
        facts: (title, panels) of a few single facts.
        peaks: where the averaged effect is largest, in words, by state.
    """

    group: str
    averaged: list[Panel]
    facts: list[tuple[str, list[Panel]]]
    peaks: list[str]


def tracing_view(inputs: Inputs, model: str, facts: str) -> TracingView | None:
    """The maps of a model and set of facts, None if there are none."""
    rows = [
        r for r in inputs.tables.get("tracing", [])
        if (r["model"], r["dataset"]) == (model, facts)
    ]  # fmt: skip
    means = [r for r in rows if not r["fact"] and r["value"] is not None]
    group = "known" if any(r["facts"] == "known" for r in means) else "all"
    means = [r for r in means if r["facts"] == group]
    single = [r for r in rows if r["fact"]]
    if not means and not single:
        return None
    slug = f"tracing-{model}-{facts}"
    labels = [role for role in ROLES if any(r["position"] == role for r in means)]
    return TracingView(
        group=group,
        averaged=list(_panels(means, labels, [labels.index(r["position"]) for r in means], slug)),
        facts=list(_facts(single, slug)),
        peaks=list(_peaks(means)),
    )


def _facts(rows: Sequence[Row], slug: str) -> Iterator[tuple[str, list[Panel]]]:
    for i, fact in enumerate(dict.fromkeys(r["fact"] for r in rows)):
        own = [r for r in rows if r["fact"] == fact]
        tokens = {r["token"]: r for r in own}
        labels = [_label(tokens[t]) for t in sorted(tokens)]
        panels = list(_panels(own, labels, [r["token"] for r in own], f"{slug}-{i}"))
        yield " ".join(label.removesuffix("*") for label in labels), panels


def _label(row: Row) -> str:
    """A token as an axis shows it; those of the subject carry a star."""
    text = row["text"]
    for mark in _SPACES:
        text = text.replace(mark, "")
    return f"{text}*" if "subject" in row["position"] else text


def _panels(
    rows: Sequence[Row], labels: Sequence[str], lines: Sequence[int], slug: str
) -> Iterator[Panel]:
    """One map for each state; all have the same colours.

    Args:
        rows: one for each cell of each map.
        labels: of the lines, from top to bottom.
        lines: which line each row is in.
        slug: beginning of the names of the drawings.
    """
    most = max((100 * abs(r["value"]) for r in rows), default=0.0)
    for state, title in STATES.items():
        cells = [
            {"line": line, "layer": r["layer"], "value": 100 * r["value"]}
            for r, line in zip(rows, lines, strict=True)
            if r["state"] == state
        ]
        if cells:
            top = max(cells, key=lambda c: c["value"])
            label = (
                f"Causal tracing, {title}: largest effect {top['value']:.1f} points at "
                f"{labels[top['line']]}, layer {top['layer']}"
            )
            svg = inline_svg(_map(cells, labels, title, most), f"{slug}-{state}", label)
            yield Panel(title, svg)


def _map(
    cells: list[dict[str, Any]], labels: Sequence[str], title: str, most: float
) -> alt.TopLevelMixin:
    """Lines by layers. Strength is opacity, so that both colour schemes of the page keep it."""
    names = json.dumps(list(labels), ensure_ascii=False)
    y = alt.Y(
        "line:O",
        title="token",
        axis=alt.Axis(
            labelExpr=f"{names}[datum.value]", ticks=False, domain=False, titlePadding=16
        ),
    )
    layers = sorted({cell["layer"] for cell in cells})
    every = layers[:: 1 if len(layers) <= 16 else 4]
    x = alt.X("layer:O", title="layer", axis=alt.Axis(labelAngle=0, values=every, ticks=False))
    falls = alt.datum.value < 0
    size = {
        "width": max(140, min(230, 34 * len(layers))),
        "height": alt.Step(22),
        "title": title,
    }
    opacity = alt.Opacity(
        "size:Q",
        scale=alt.Scale(domain=[0, most or 1.0], range=[0.04, 1.0]),
        legend=alt.Legend(
            title="effect, points", orient="right", tickCount=4, symbolType="square",
            symbolFillColor=LOCATED.colour, symbolStrokeWidth=0, labelColor=SOFT, titleColor=INK,
            titleFontWeight="normal",
        ),
    )  # fmt: skip
    colour = alt.condition(falls, alt.value(MIXTURE.colour), alt.value(LOCATED.colour))
    shown = [cell | {"size": abs(cell["value"])} for cell in cells]
    chart = alt.Chart(alt.Data(values=shown)).mark_rect(stroke=None)
    return chart.encode(x=x, y=y, opacity=opacity, color=colour).properties(**size)


def _peaks(rows: Sequence[Row]) -> Iterator[str]:
    for state, title in STATES.items():
        own = [r for r in rows if r["state"] == state]
        if own:
            top = max(own, key=lambda r: r["value"])
            low, high = (percent(top[end]) for end in ("ci_low", "ci_high"))
            yield (
                f"{title}: {percent(top['value'])} points ({low} to {high}) at the "
                f"{top['position']}, layer {top['layer']}"
            )
