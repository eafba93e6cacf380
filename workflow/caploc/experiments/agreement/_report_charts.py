"""Charts of agreement and of the places of located neurons, from rows that are ready to draw."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from caploc.report.charts import PERCENT, data, log_x, looks_of
from caploc.report.palette import BAND, CHANCE, LOCATED, SERIES, SHARING

__all__ = ["agreement", "curve", "neuron_map"]


def agreement(rows: Sequence[dict[str, Any]], order: Sequence[str]) -> alt.TopLevelMixin:
    """Split-half overlap of every data set beside its references and chance.

    Args:
        rows: ``dataset`` (title), ``series``, ``value``, ``low``, ``high`` in percent.
        order: titles from top to bottom.
    """
    axis = alt.Axis(grid=True, ticks=False, tickBand="extent")
    scale = alt.Scale(paddingInner=0.2, paddingOuter=0.1)
    y = alt.Y("dataset:N", sort=list(order), title=None, axis=axis, scale=scale)
    looks = looks_of(SERIES)
    # Ranges of one row would cover each other, so every series has its own line within the row.
    lines = alt.YOffset("series:N", sort=[series.key for series in SERIES])
    base = alt.Chart(data(rows)).encode(y=y, yOffset=lines, color=looks["color"])
    x = alt.X("value:Q", title="split-half overlap, %", scale=PERCENT)
    is_chance = alt.datum.series == CHANCE.key
    spans = base.transform_filter(alt.datum.low != None).mark_rule(size=2, opacity=0.6)  # noqa: E711
    points = base.transform_filter(~is_chance).mark_point(filled=True, size=48, opacity=1)
    chance = base.transform_filter(is_chance).mark_tick(thickness=2, size=8, opacity=1)
    return (
        alt.layer(
            spans.encode(x=alt.X("low:Q", scale=PERCENT), x2="high:Q"),
            chance.encode(x=x),
            points.encode(x=x, shape=looks["shape"]),
        )
        .properties(width=230, height=alt.Step(48, **{"for": "position"}))
    )  # fmt: skip


def curve(
    rows: Sequence[dict[str, Any]], title: str, x_title: str, domain: tuple[float, float]
) -> alt.TopLevelMixin:
    """Overlap against a quantity on a logarithmic axis: one panel for one data set.

    Args:
        rows: ``x``, ``series``, ``value``, ``low``, ``high``; the last three in percent.
        title: name of the data set.
        x_title: axis title.
        domain: range of x, shared by all panels.
    """
    looks = looks_of(SERIES)
    x = log_x(rows, x_title, domain)
    y = alt.Y("value:Q", title="split-half overlap, %", scale=PERCENT)
    base = alt.Chart(data(rows)).encode(x=x, color=looks["color"])
    own = base.transform_filter(alt.datum.series == LOCATED.key)
    band = own.mark_area(color=BAND, opacity=1).encode(
        y=alt.Y("low:Q", scale=PERCENT), y2="high:Q", color=alt.value(BAND)
    )
    lines = base.mark_line(strokeWidth=2).encode(y=y, strokeDash=looks["strokeDash"])
    points = base.transform_filter(alt.datum.series != CHANCE.key).mark_point(
        filled=True, size=36, opacity=1
    )
    layers = alt.layer(band, lines, points.encode(y=y, shape=looks["shape"]))
    return layers.properties(width=250, height=175, title=title)


def neuron_map(
    points: Sequence[dict[str, Any]],
    layers: Sequence[dict[str, Any]],
    title: str,
    grid: tuple[int, int],
    most: float,
) -> alt.TopLevelMixin:
    """Where the located neurons of one data set are, and how they spread over the layers.

    Args:
        points: ``layer``, ``neuron``, ``series`` (own, one, more), ``label`` (shown on hovering).
        layers: ``layer`` and ``percent`` of this data set's located neurons.
        title: name of the data set.
        grid: number of layers and of neurons in a layer: the axes of every panel.
        most: largest percentage of any panel: the axis of the bars.
    """
    n_layers, n_neurons = grid
    height = min(300, max(96, 18 * n_layers))
    scale = alt.Scale(domain=[-0.5, n_layers - 0.5], nice=False, padding=0)
    ticks = list(range(0, n_layers, 1 if n_layers <= 12 else 4))
    y = alt.Y("layer:Q", title="layer", scale=scale, axis=alt.Axis(values=ticks, format="d"))
    unlabelled = alt.Axis(values=ticks, labels=False, ticks=False, title=None)
    x = alt.X(
        "neuron:Q",
        title="neuron index",
        scale=alt.Scale(domain=[0, n_neurons], nice=False),
        axis=alt.Axis(tickCount=4, grid=False, format="d"),
    )
    # What the pointer shows; `inline_svg` makes titles of descriptions.
    dots = alt.Chart(data(points)).mark_point(filled=True, size=30, opacity=0.9, aria=True)
    looks = looks_of(SHARING)
    places = dots.encode(
        x=x, y=y, description=alt.Description("label:N"), color=looks["color"], shape=looks["shape"]
    ).properties(width=200, height=height)
    bar = alt.Chart(data(layers)).mark_bar(
        orient="horizontal",
        color=SHARING[0].colour,
        size=min(12, 0.7 * height / n_layers),
        opacity=0.85,
    )
    right = alt.X(
        "percent:Q",
        title="% of located",
        scale=alt.Scale(domain=[0, most], nice=2),
        axis=alt.Axis(tickCount=2, grid=False),
    )
    bars = bar.encode(x=right, y=alt.Y("layer:Q", scale=scale, axis=unlabelled)).properties(
        width=66, height=height
    )
    return alt.hconcat(places, bars, spacing=8).properties(title=title)
