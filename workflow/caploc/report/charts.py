"""What figures are made of.

Each function of a figure takes rows that are ready to draw and returns one chart. A chart is at
most about 360 pixels wide, so that it is readable on a telephone; several charts of one kind have
the same axes and stand beside each other where there is room.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt

from caploc.report.formatting import Number
from caploc.report.palette import BAND, CHANCE, LOCATED, Series

__all__ = ["PERCENT", "curves", "data", "log_x", "looks_of", "loss", "percent_point", "ranges"]

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


def ranges(
    rows: Sequence[dict[str, Any]],
    series: Sequence[Series],
    order: Sequence[str],
    title: str,
    limits: Sequence[float] = (),
) -> alt.TopLevelMixin:
    """Numbers of data sets with their ranges, a line for each data set; dotted lines at limits.

    Args:
        rows: ``dataset`` (title), ``series``, ``value``, ``low``, ``high`` in percent.
        series: looks; several in one data set have lines of their own, or would cover each other.
        order: titles from top to bottom.
        title: of the axis.
        limits: in percent.
    """
    several = len(rows) > len(order)
    y = alt.Y(
        "dataset:N", sort=list(order), title=None,
        axis=alt.Axis(grid=True, ticks=False, tickBand="extent"),
        scale=alt.Scale(paddingInner=0.2, paddingOuter=0.1),
    )  # fmt: skip
    looks = looks_of(series)
    base = alt.Chart(data(rows)).encode(y=y, color=looks["color"])
    if several:
        base = base.encode(yOffset=alt.YOffset("series:N", sort=[one.key for one in series]))
    x = alt.X("value:Q", title=title, scale=PERCENT)
    is_chance = alt.datum.series == CHANCE.key
    spans = base.transform_filter(alt.datum.low != None).mark_rule(size=2, opacity=0.6)  # noqa: E711
    points = base.transform_filter(~is_chance).mark_point(
        filled=True, size=48 if several else 80, opacity=1
    )
    chance = base.transform_filter(is_chance).mark_tick(thickness=2, size=8, opacity=1)
    layers = [
        spans.encode(x=alt.X("low:Q", scale=PERCENT), x2="high:Q"),
        chance.encode(x=x),
        points.encode(x=x, shape=looks["shape"]),
    ]
    if limits:
        ends = alt.Chart(data([{"x": limit} for limit in limits])).encode(x="x:Q")
        dotted = ends.mark_rule(strokeDash=list(CHANCE.dash), color=CHANCE.colour, size=1.5)
        layers.insert(0, dotted)
    step = alt.Step(48 if several else 26, **{"for": "position"})
    return alt.layer(*layers).properties(width=230, height=step)


def curves(
    rows: Sequence[dict[str, Any]], series: Sequence[Series], title: str, x: alt.X, y_title: str,
    percent: bool = False,
) -> alt.TopLevelMixin:  # fmt: skip
    """Values with ranges against a quantity: one panel for one data set.

    Args:
        rows: ``x``, ``series``, ``value``, ``low``, ``high``.
        series: looks.
        title: name of the data set.
        x: axis.
        y_title: title of the other axis.
        percent: from 0 to 100, with a band for the range of the located series and points for the
            values; else bars show all ranges.
    """
    looks = looks_of(series)
    base = alt.Chart(data(rows)).encode(x=x, color=looks["color"])
    scale = PERCENT if percent else alt.Undefined
    y, low = alt.Y("value:Q", title=y_title, scale=scale), alt.Y("low:Q", scale=scale)
    lines = base.mark_line(strokeWidth=2).encode(y=y, strokeDash=looks["strokeDash"])
    layers = [base.mark_rule(size=1.5, opacity=0.6).encode(y=low, y2="high:Q"), lines]
    if percent:
        own = base.transform_filter(alt.datum.series == LOCATED.key).mark_area(opacity=1)
        others = base.transform_filter(alt.datum.series != CHANCE.key)
        points = others.mark_point(filled=True, size=36, opacity=1)
        layers = [
            own.encode(y=low, y2="high:Q", color=alt.value(BAND)),
            lines,
            points.encode(y=y, shape=looks["shape"]),
        ]
    return alt.layer(*layers).properties(width=250, height=175, title=title)


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
