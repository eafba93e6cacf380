"""Figures of the page: numbers of a view, brought into the shape a chart draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from caploc.report import charts
from caploc.report.formatting import Number, count, joined, percent
from caploc.report.inputs import Inputs, Task
from caploc.report.palette import CHANCE, LOCATED, SHARING
from caploc.report.sections import base_rows
from caploc.report.svg import inline_svg
from caploc.report.views import REFERENCES, View

__all__ = [
    "MOST_POINTS",
    "Panel",
    "accuracy_figure",
    "agreement_figure",
    "loss_figure",
    "neuron_panels",
    "sigma_panels",
    "stability_panels",
]

MOST_POINTS = 2000  # drawn in one map; more would only overlap and make the page slow
_MOST_STEPS = 400


@dataclass(frozen=True, slots=True)
class Panel:
    """A drawing, or the reason why there is none, with a note below it."""

    title: str
    svg: Markup | None
    note: str = ""


def _point(number: Number, **fields: Any) -> dict[str, Any]:
    """A number in percent, as a row of a chart."""
    scaled = {
        key: None if value is None else 100 * value
        for key, value in (("value", number.value), ("low", number.low), ("high", number.high))
    }
    return fields | scaled


def agreement_figure(view: View) -> Markup | None:
    """Every data set beside its references and chance."""
    rows, spoken = [], []
    for task in view.inputs.tasks:
        own = view.overlap(task)
        if own.value is None:
            continue
        numbers = {arm: view.reference(arm, task) for arm in REFERENCES}
        numbers |= {LOCATED.key: own, CHANCE.key: view.chance(task)}
        rows += [
            _point(number, dataset=task.title, series=key)
            for key, number in numbers.items()
            if number.has_value
        ]
        spoken.append(f"{task.title} {percent(own.value)} %")
    if not rows:
        return None
    label = f"Split-half overlap of each data set beside its references: {'; '.join(spoken)}"
    order = [task.title for task in view.inputs.tasks]
    return inline_svg(charts.agreement(rows, order), f"{view.slug}-agreement", label)


def accuracy_figure(inputs: Inputs, model: str) -> Markup | None:
    """Accuracy of the unchanged model on every data set."""
    found = [row for row in base_rows(inputs, model) if row.accuracy.value is not None]
    if not found:
        return None
    rows = [_point(row.accuracy, dataset=row.task.title, useful=row.useful) for row in found]
    spoken = "; ".join(f"{row.task.title} {percent(row.accuracy.value or 0.0)} %" for row in found)
    order = [row.task.title for row in found]
    name = f"m{inputs.spec['models'].index(model)}-accuracy"
    return inline_svg(charts.accuracy(rows, order), name, f"Correct answers: {spoken}")


def loss_figure(inputs: Inputs, model: str) -> Panel | None:
    """Training loss; None for a model that was not trained here."""
    rows = inputs.losses.get(model)
    if not rows:
        return None
    every = -(-len(rows) // _MOST_STEPS)
    drawn = [{"step": row["step"], "loss": row["loss"]} for row in rows[::every]]
    label = f"Training loss falls from {rows[0]['loss']:.3g} to {rows[-1]['loss']:.3g}"
    if rows[-1]["loss"] >= rows[0]["loss"]:
        label = f"Training loss does not fall: {rows[0]['loss']:.3g} to {rows[-1]['loss']:.3g}"
    name = f"m{inputs.spec['models'].index(model)}-loss"
    svg = inline_svg(charts.loss(drawn), name, f"{label} over {count(len(rows), 'logged step')}")
    note = f"One in {every} logged steps is drawn." if every > 1 else ""
    return Panel(model, svg, note)


def stability_panels(view: View) -> list[Panel]:
    """Overlap against the number of samples in each half."""
    cells, panels = view.headline, []
    series: dict[Task, dict[str, list[tuple[float, Number]]]] = {}
    for task in view.inputs.tasks:
        found = {
            arm: _points(cells.curve(arm, view.dataset(arm, task), "overlap"))
            for arm in (LOCATED.key, *REFERENCES)
        }
        found[CHANCE.key] = _points(cells.curve("located", task.id, "chance_overlap_layer"))
        series[task] = found
    sizes = [x for found in series.values() for points in found.values() for x, _ in points]
    domain = (max(1.0, min(sizes, default=1)), max(sizes, default=1))
    for task, found in series.items():
        reason = view.overlap(task).reason
        panels.append(_curve(view, task, found, "samples in each half", domain, "size", reason))
    return panels


def sigma_panels(view: View) -> list[Panel]:
    """Overlap against the threshold of the mask; of equal thresholds the first mask is drawn."""
    masks: dict[float, str] = {}
    for mask in view.inputs.spec["masks"]:
        masks.setdefault(mask["sigma"], mask["id"])
    if len(masks) < 2:
        return []
    domain = (min(masks), max(masks))
    panels = []
    for task in view.inputs.tasks:
        found = {
            arm: _points(
                [(s, view.reference(arm, task, mask)) for s, mask in sorted(masks.items())]
            )
            for arm in REFERENCES
        }
        found[LOCATED.key] = _points(
            [(s, view.overlap(task, mask)) for s, mask in sorted(masks.items())]
        )
        found[CHANCE.key] = _points(
            [
                (s, view.overlap(task, mask, "chance_overlap_layer"))
                for s, mask in sorted(masks.items())
            ]
        )
        reason = view.overlap(task).reason
        panels.append(_curve(view, task, found, "sigma", domain, "sigma", reason))
    return panels


def _points(pairs: Sequence[tuple[float, Number]]) -> list[tuple[float, Number]]:
    """Pairs that a logarithmic axis can show."""
    return [(x, number) for x, number in pairs if number.has_value and x > 0]


def _curve(
    view: View,
    task: Task,
    found: dict[str, list[tuple[float, Number]]],
    x_title: str,
    domain: tuple[float, float],
    kind: str,
    reason: str,
) -> Panel:
    own = found[LOCATED.key]
    if not own:
        return Panel(task.title, None, reason)
    rows = [_point(n, x=x, series=key) for key, points in found.items() for x, n in points]
    ends = [f"{percent(n.value or 0.0)} % at {x:g}" for x, n in (own[0], own[-1])]
    label = f"{task.title}: split-half overlap against {x_title}, from {' to '.join(ends)}"
    name = f"{view.slug}-{kind}-{view.inputs.tasks.index(task)}"
    return Panel(
        task.title, inline_svg(charts.curve(rows, task.title, x_title, domain), name, label)
    )


def neuron_panels(view: View) -> list[Panel]:
    """Where the located neurons are: one map for each data set, all with the same axes."""
    panels = []
    spreads = {task: view.per_layer(task) for task in view.inputs.tasks}
    most = max((100 * value for s in spreads.values() for value in s.values()), default=100.0)
    for index, task in enumerate(view.inputs.tasks):
        places = view.located(task)
        if not places:
            panels.append(Panel(task.title, None, view.why_no_neurons(task)))
            continue
        strongest = sorted(places, key=lambda place: (-abs(places[place]["z"]), place))
        drawn = sorted(strongest[:MOST_POINTS])
        points = [
            {"layer": layer, "neuron": neuron, "series": _sharing(places[layer, neuron])}
            | {"label": _neuron_label(view, layer, neuron, places[layer, neuron])}
            for layer, neuron in drawn
        ]
        shares = spreads[task]
        bars = [{"layer": layer, "percent": 100 * value} for layer, value in shares.items()]
        spread = ", ".join(f"layer {layer} {percent(v, 0)} %" for layer, v in shares.items())
        label = f"{task.title}: {count(len(places), 'located neuron')}; {spread}"
        chart = charts.neuron_map(points, bars, task.title, view.grid, most)
        note = _map_note(places, drawn)
        panels.append(Panel(task.title, inline_svg(chart, f"{view.slug}-map-{index}", label), note))
    return panels


def _sharing(row: Any) -> str:
    n_others = len([name for name in (row["shared_by"] or "").split(";") if name])
    return SHARING[min(n_others, 2)].key


def _neuron_label(view: View, layer: int, neuron: int, row: Any) -> str:
    others = [view.inputs.title(name) for name in (row["shared_by"] or "").split(";") if name]
    shared = f"also located by {joined(others)}" if others else "located by this data set alone"
    score = f"score {row['score']:.3g}, {row['z']:+.1f} standard deviations from the mean"
    return f"layer {layer}, neuron {neuron}: {score}; {shared}"


def _map_note(places: Any, drawn: list[tuple[int, int]]) -> str:
    n_shared = sum(bool(row["shared_by"]) for row in places.values())
    note = f"{count(len(places), 'neuron')}, {n_shared:,} of them shared"
    if len(drawn) < len(places):
        note += f"; the {len(drawn):,} with the largest scores are drawn"
    return note
