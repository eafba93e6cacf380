"""The table `neurons` of one model and method at the headline mask: where located neurons are."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from caploc.experiments.agreement._report_numbers import EMPTY, located_share, overlap
from caploc.report.charts import data, looks_of
from caploc.report.formatting import count, joined, percent
from caploc.report.inputs import Task
from caploc.report.palette import SHARING
from caploc.report.svg import Panel, inline_svg
from caploc.report.views import View

__all__ = ["MOST_POINTS", "neuron_map", "neuron_panels", "per_layer"]

MOST_POINTS = 2000  # drawn in one map; more would only overlap and make the page slow


def per_layer(view: View, task: Task) -> dict[int, float]:
    """Fraction of the located neurons of a data set in each layer that has any."""
    counts = _located(view, task)["layer"].value_counts().sort("layer")
    return {layer: n / counts["count"].sum() for layer, n in counts.iter_rows()}


def neuron_panels(view: View) -> list[Panel]:
    """Where the located neurons are: one map for each data set, all with the same axes."""
    spreads = {task: per_layer(view, task) for task in view.inputs.tasks}
    most = max((100 * value for s in spreads.values() for value in s.values()), default=100.0)
    return [_panel(view, task, spreads[task], most) for task in view.inputs.tasks]


def _located(view: View, task: Task) -> pl.DataFrame:
    """One row a neuron: layer, neuron, score, z and ``others``, titles of data sets with it."""
    frame = view.rows("neurons", mask=view.mask, dataset=task.id)
    places = ["layer", "neuron", "shared_by"]
    wide = frame.pivot("metric", index=places, values="value")
    others = pl.col("shared_by").str.split(";").list.filter(pl.element() != "")
    return wide.with_columns(others=others)


def _panel(view: View, task: Task, spread: dict[int, float], most: float) -> Panel:
    found = _located(view, task)
    if found.is_empty():
        reason = overlap(view, task).reason
        if located_share(view, task).value == 0:
            reason = f"{EMPTY}: no neuron passes the threshold"
        return Panel(task.title, None, reason)
    strength = [-pl.col("z").abs(), pl.col("layer"), pl.col("neuron")]
    drawn = found.sort(strength)[:MOST_POINTS].sort("layer", "neuron")
    points = [
        {"layer": row["layer"], "neuron": row["neuron"], "label": _label(view, row)}
        | {"series": SHARING[min(len(row["others"]), 2)].key}
        for row in drawn.iter_rows(named=True)
    ]
    bars = [{"layer": layer, "percent": 100 * value} for layer, value in spread.items()]
    spoken = ", ".join(f"layer {layer} {percent(v, 0)} %" for layer, v in spread.items())
    label = f"{task.title}: {count(len(found), 'located neuron')}; {spoken}"
    chart = neuron_map(points, bars, task.title, view.grid, most)
    name = f"{view.slug}-map-{view.inputs.tasks.index(task)}"
    n_shared = found["others"].list.len().gt(0).sum()
    note = f"{count(len(found), 'neuron')}, {n_shared:,} of them shared"
    if len(drawn) < len(found):
        note += f"; the {len(drawn):,} with the largest scores are drawn"
    return Panel(task.title, inline_svg(chart, name, label, SHARING), note)


def _label(view: View, row: dict[str, float | list[str]]) -> str:
    others = [view.inputs.title(name) for name in row["others"]]  # type: ignore[union-attr]
    shared = f"also located by {joined(others)}" if others else "located by this data set alone"
    score = f"score {row['score']:.3g}, {row['z']:+.1f} standard deviations from the mean"
    return f"layer {row['layer']}, neuron {row['neuron']}: {score}; {shared}"


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
