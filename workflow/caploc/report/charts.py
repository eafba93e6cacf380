"""The figures of the frame, and what all figures are made of.

Each function of a figure takes rows that are ready to draw and returns one chart. A chart is at
most about 360 pixels wide, so that it is readable on a telephone; several charts of one kind have
the same axes and stand beside each other where there is room.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt

from caploc.report.formatting import Number
from caploc.report.palette import CHANCE, LOCATED, SHARING, Series

__all__ = ["PERCENT", "accuracy", "data", "log_x", "looks_of", "loss", "percent_point"]

PERCENT = alt.Scale(domain=[0, 100])


def data(rows: Sequence[dict[str, Any]]) -> alt.Data:
    """Rows of a chart."""
    return alt.Data(values=list(rows))


def percent_point(number: Number, **fields: Any) -> dict[str, Any]:
    """A number in percent, as a row of a chart."""
    found = {"value": number.value, "low": number.low, "high": number.high}
    return fields | {key: None if v is None else 100 * v for key, v in found.items()}


def looks_of(series: Sequence[Series]) -> dict[str, Any]:
    """Encodings that give every series its colour, shape and dashes."""
    keys = [s.key for s in series]

    def scale(values: list[Any]) -> alt.Scale:
        return alt.Scale(domain=keys, range=values)

    return {
        "color": alt.Color("series:N", scale=scale([s.colour for s in series]), legend=None),
        "shape": alt.Shape("series:N", scale=scale([s.shape for s in series]), legend=None),
        "strokeDash": alt.StrokeDash(
            "series:N", scale=scale([list(s.dash) for s in series]), legend=None
        ),
    }


def log_x(rows: Sequence[dict[str, Any]], title: str, domain: Sequence[float] = ()) -> alt.X:
    """A logarithmic axis with a tick at every ``x`` of the rows.

    Args:
        rows: ``x`` above 0.
        title: of the axis.
        domain: range of x; empty: that of the rows.
    """
    ticks = sorted({row["x"] for row in rows})
    ends = list(domain) or [ticks[0], ticks[-1]]
    return alt.X(
        "x:Q",
        title=title,
        scale=alt.Scale(type="log", domain=ends, nice=False, padding=6),
        axis=alt.Axis(values=ticks, labelOverlap=True, grid=False, format="~g"),
    )


def accuracy(
    rows: Sequence[dict[str, Any]], order: Sequence[str], useful: tuple[float, float]
) -> alt.TopLevelMixin:
    """Accuracy of the unchanged model with its interval; hollow where outside the useful range.

    Args:
        rows: ``dataset`` (title), ``value``, ``low``, ``high`` in percent, ``useful`` (bool).
        order: titles from top to bottom.
        useful: limits of the useful range (fractions).
    """
    y = alt.Y("dataset:N", sort=list(order), title=None, axis=alt.Axis(grid=True, ticks=False))
    base = alt.Chart(data(rows)).encode(y=y)
    x = alt.X("value:Q", title="correct answers, %", scale=PERCENT)
    colour = LOCATED.colour
    spans = base.mark_rule(size=2, color=colour).encode(
        x=alt.X("low:Q", scale=PERCENT), x2="high:Q"
    )
    inside = base.transform_filter(alt.datum.useful).mark_point(
        filled=True, size=70, opacity=1, color=colour
    )
    outside = base.transform_filter(~alt.datum.useful).mark_point(
        shape="cross", size=110, opacity=1, strokeWidth=2, filled=False, color=SHARING[1].colour
    )
    limits = alt.Chart(data([{"x": 100 * limit} for limit in useful])).mark_rule(
        strokeDash=list(CHANCE.dash), color=CHANCE.colour, size=1.5
    )
    layers = alt.layer(limits.encode(x="x:Q"), spans, inside.encode(x=x), outside.encode(x=x))
    return layers.properties(width=230, height={"step": 26})


def loss(rows: Sequence[dict[str, Any]]) -> alt.TopLevelMixin:
    """Training loss against the optimiser step.

    Args:
        rows: ``step`` and ``loss`` (nat per answer token).
    """
    chart = alt.Chart(data(rows)).mark_line(color=LOCATED.colour, strokeWidth=1.5)
    return chart.encode(
        x=alt.X("step:Q", title="optimiser step", axis=alt.Axis(tickCount=5, grid=False)),
        y=alt.Y("loss:Q", title="loss, nat per token"),
    ).properties(width=290, height=180)
