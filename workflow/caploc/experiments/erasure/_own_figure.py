"""The figure that leads the page: where located neurons lie, and what silencing them costs."""

from typing import Any

import altair as alt
import polars as pl

from caploc.experiments.erasure.table import CROSS_ERASURE
from caploc.report.charts import data, looks_of
from caploc.report.findings import Tile
from caploc.report.formatting import Number, count, nat
from caploc.report.inputs import Task
from caploc.report.numbers import matching, number, row
from caploc.report.palette import CHANCE, LOCATED, MIXTURE, Series
from caploc.report.svg import Drawing, inline_svg
from caploc.report.views import View

__all__ = ["COSTS", "own_lead", "own_tiles", "own_verdict"]

COSTS = (
    Series("own", "its own located neurons", LOCATED.colour, "circle"),
    Series("others", "as many of another task, on average", MIXTURE.colour, "square"),
    Series("random", "as many random ones, matched", CHANCE.colour, "diamond"),
)
_SIGNIFICANT = 0.05
_SMALL = 0.001  # below, two leading digits would come with an exponent
_HEIGHT = 24  # pixels of a line; both drawings have the same


def own_verdict(view: View) -> str | None:
    """What the primary test says, in one sentence; None if nothing was crossed."""
    frame = _equal(view)
    tested = row(frame, metric="logprob_own", source="", target="")
    if tested is None or tested["value"] is None:
        return None
    value, low, high = (nat(tested[key], 2) for key in ("value", "ci_low", "ci_high"))
    p = tested["p"] if tested["p_holm"] is None else tested["p_holm"]
    told = f"{value} nat per answer token ({low} to {high})"
    small = f"{p:.2g}" if p >= _SMALL else f"{p:.5f}"
    chance = f"p = {small} over {tested['n_draws']:,} ways to deal the sets to the tasks"
    if tested["ci_low"] > 0 and p <= _SIGNIFICANT:
        return (
            "Located neurons belong to their task: silencing them costs it, on average, "
            f"{told} more than silencing as many located for another task ({chance})."
        )
    return (
        "Located neurons are not told apart from those of other tasks: silencing them costs their "
        f"task {told} more than silencing as many located for another one ({chance})."
    )


def own_tiles(view: View) -> list[Tile]:
    """In how many tasks the own neurons cost more than those of others."""
    frame = matching(_equal(view), metric="logprob_own", source="").filter(pl.col("target") != "")
    found = frame.drop_nulls("value")
    if found.is_empty():
        return []
    apart = int((found["ci_low"] > 0).sum())
    return [
        Tile(
            f"{apart} of {len(found)}",
            "tasks lose more from their own located neurons than from as many of another task",
            "95 % intervals over test questions above 0",
        )
    ]


def own_lead(view: View) -> dict[str, Any] | None:
    """Both drawings with what their caption says; None without numbers."""
    frame = _equal(view)
    layers, cost = _layer_drawing(view), _cost_drawing(view, frame)
    if layers is None or cost is None:
        return None
    sizes = matching(frame, metric="n_neurons", target="")["value"].drop_nulls()
    samples = matching(frame, metric="logprob_own").filter(pl.col("target") != "")["n"].max()
    return {"layers": layers, "cost": cost, "n": int(max(sizes)), "samples": samples}


def _equal(view: View) -> pl.DataFrame:
    """Rows of sets of equal size."""
    frame = view.inputs.tables.get("cross_erasure", pl.DataFrame(schema=dict(CROSS_ERASURE)))
    return matching(frame, model=view.model, method=view.method, sets="equal")


def _own_costs(frame: pl.DataFrame, task: Task) -> dict[str, Number]:
    """What a task loses without neurons, nat per answer token: its own, others', random ones.

    Args:
        frame: rows of `cross_erasure` of one model, method and kind of sets.
        task: the task that answers.
    """
    cell = {"source": task.id, "target": task.id}
    own = number(frame, metric="logprob_fall", **cell)
    surplus = number(frame, metric="logprob_own", source="", target=task.id)
    others = Number()
    if own.value is not None and surplus.value is not None:
        others = Number(own.value - surplus.value)
    random = number(frame, metric="logprob_fall_random", **cell)
    return {"own": own, "others": others, "random": random}


def _cost_drawing(view: View, frame: pl.DataFrame) -> Drawing | None:
    """Own, others' and random neurons silenced: a line for each task; None without numbers."""
    rows, spoken = [], []
    for task in view.inputs.tasks:
        found = _own_costs(frame, task)
        rows += [
            {"dataset": task.title, "series": key, "value": n.value, "low": n.low, "high": n.high}
            for key, n in found.items()
            if n.value is not None
        ]
        if found["own"].value is not None and found["others"].value is not None:
            own, others = nat(found["own"].value, 2), nat(found["others"].value, 2)
            spoken.append(f"{task.title}: own {own}, others {others}")
    if not rows:
        return None
    looks = looks_of(COSTS)
    base = alt.Chart(data(rows)).encode(y=_lines(view))
    x = alt.X("value:Q", title="fall of log P of the right answer, nat per token")
    spans = base.mark_rule(size=2).encode(x="low:Q", x2="high:Q", color=looks["color"])
    marks = base.mark_point(filled=True, size=70, opacity=1, strokeWidth=2).encode(
        x=x, color=looks["color"], shape=looks["shape"]
    )
    chart = alt.layer(spans, marks).properties(width=230, height=alt.Step(_HEIGHT))
    label = f"Fall of log P when neurons are silenced, nat per token; {'; '.join(spoken)}"
    return inline_svg(chart, f"{view.slug}-own-cost", label, COSTS)


def _layer_drawing(view: View) -> Drawing | None:
    """Share of the located neurons of each task in every layer; None without any."""
    located = matching(
        view.inputs.tables["neurons"], model=view.model, method=view.method, mask=view.mask,
        metric="z",
    )  # fmt: skip
    counts = located.group_by("dataset", "layer").len()
    rows: list[dict[str, Any]] = []
    spoken = []
    for task in view.inputs.tasks:
        own = matching(counts, dataset=task.id).sort("layer")
        total = int(own["len"].sum())
        rows += [
            {"dataset": task.title, "layer": layer, "share": n / total,
             "told": f"{task.title}, layer {layer}: {n} of {count(total, 'located neuron')}"}
            for layer, n in own.select("layer", "len").iter_rows()
        ]  # fmt: skip
        rows.append({"dataset": task.title, "layer": None, "share": None, "n": f"{total:,}"})
        if total:
            most = own.row(own["len"].arg_max() or 0, named=True)
            spoken.append(f"{task.title} {total}, most in layer {most['layer']}")
    if located.is_empty():
        return None
    n_layers = view.grid[0]
    every = list(range(0, n_layers, 1 if n_layers <= 16 else 5))
    x = alt.X(
        "layer:O",
        title="layer",
        scale=alt.Scale(domain=list(range(n_layers))),
        axis=alt.Axis(values=every, labelAngle=0, ticks=False, domain=False),
    )
    base = alt.Chart(data(rows)).encode(y=_lines(view))
    cells = (
        base.transform_filter("isValid(datum.share)")
        .mark_rect(color=LOCATED.colour)
        .encode(
            x=x,
            opacity=alt.Opacity(
                "share:Q",
                scale=alt.Scale(domain=[0, 0.5], range=[0.12, 1.0], clamp=True),
                legend=None,
            ),
            description="told:N",
        )
    )
    sizes = (
        base.transform_filter("isValid(datum.n)")
        .mark_text(align="left", dx=6)
        .encode(text="n:N", x=alt.value(_width(n_layers)))
    )
    chart = alt.layer(cells, sizes).properties(width=_width(n_layers), height=alt.Step(_HEIGHT))
    label = f"Located neurons of each task by layer: {'; '.join(spoken)}"
    return inline_svg(chart, f"{view.slug}-layers", label)


def _width(n_layers: int) -> int:
    return max(150, min(240, 34 * n_layers))


def _lines(view: View) -> alt.Y:
    order = [task.title for task in view.inputs.tasks]
    return alt.Y(
        "dataset:N", sort=order, scale=alt.Scale(domain=order), title=None,
        axis=alt.Axis(grid=True, ticks=False, domain=False),
    )  # fmt: skip
