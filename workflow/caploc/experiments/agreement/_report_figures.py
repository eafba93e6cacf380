"""Figures of agreement: beside the references, against the threshold, against the samples."""

from collections.abc import Mapping, Sequence

from caploc.experiments.agreement import _report_charts as charts
from caploc.experiments.agreement._report_numbers import (
    REFERENCES,
    curve,
    overlap,
    reference,
)
from caploc.report.charts import percent_point
from caploc.report.formatting import Number, percent
from caploc.report.inputs import Task
from caploc.report.palette import CHANCE, LOCATED, SERIES
from caploc.report.svg import Drawing, Panel, inline_svg
from caploc.report.views import View

__all__ = ["agreement_figure", "sigma_panels", "stability_panels"]

Curves = Mapping[str, Sequence[tuple[float, Number]]]


def agreement_figure(view: View) -> Drawing | None:
    """Every data set beside its references and chance."""
    rows, spoken = [], []
    for task in view.inputs.tasks:
        own = overlap(view, task)
        if own.value is None:
            continue
        numbers = {arm: reference(view, arm, task) for arm in (*REFERENCES, CHANCE.key)}
        numbers[LOCATED.key] = own
        rows += [
            percent_point(number, dataset=task.title, series=key)
            for key, number in numbers.items()
            if number.has_value
        ]
        spoken.append(f"{task.title} {percent(own.value)} %")
    if not rows:
        return None
    label = f"Split-half overlap of each data set beside its references: {'; '.join(spoken)}"
    order = [task.title for task in view.inputs.tasks]
    return inline_svg(charts.agreement(rows, order), f"{view.slug}-agreement", label, SERIES)


def stability_panels(view: View) -> list[Panel]:
    """Overlap against the number of samples in each half."""
    found: dict[Task, Curves] = {
        task: {
            LOCATED.key: curve(view, "located", task, "overlap"),
            **{arm: curve(view, arm, task, "overlap") for arm in REFERENCES},
            CHANCE.key: curve(view, "located", task, "chance_overlap_layer"),
        }
        for task in view.inputs.tasks
    }
    drawn = {task: _positive(curves) for task, curves in found.items()}
    sizes = [x for curves in drawn.values() for points in curves.values() for x, _ in points]
    domain = (max(1.0, min(sizes, default=1)), max(sizes, default=1))
    return [
        _panel(view, task, curves, "samples in each half", domain, "size")
        for task, curves in drawn.items()
    ]


def sigma_panels(view: View) -> list[Panel]:
    """Overlap against the threshold of the mask; of equal thresholds the first mask is drawn."""
    masks: dict[float, str] = {}
    for mask in view.inputs.spec["masks"]:
        masks.setdefault(mask["sigma"], mask["id"])
    if len(masks) < 2:
        return []
    panels = []
    for task in view.inputs.tasks:
        curves: dict[str, list[tuple[float, Number]]] = {}
        for sigma, mask in sorted(masks.items()):
            for arm in REFERENCES:
                curves.setdefault(arm, []).append((sigma, reference(view, arm, task, mask)))
            for key, metric in ((LOCATED.key, "overlap"), (CHANCE.key, "chance_overlap_layer")):
                curves.setdefault(key, []).append((sigma, overlap(view, task, mask, metric)))
        domain = (min(masks), max(masks))
        panels.append(_panel(view, task, _positive(curves), "sigma", domain, "sigma"))
    return panels


def _positive(curves: Curves) -> Curves:
    """Points that a logarithmic axis can show."""
    return {
        key: [(x, number) for x, number in points if number.has_value and x > 0]
        for key, points in curves.items()
    }


def _panel(
    view: View, task: Task, curves: Curves, x_title: str, domain: tuple[float, float], kind: str
) -> Panel:
    own = curves[LOCATED.key]
    if not own:
        return Panel(task.title, None, overlap(view, task).reason)
    rows = [percent_point(n, x=x, series=key) for key, points in curves.items() for x, n in points]
    ends = [f"{percent(n.value or 0.0)} % at {x:g}" for x, n in (own[0], own[-1])]
    label = f"{task.title}: split-half overlap against {x_title}, from {' to '.join(ends)}"
    name = f"{view.slug}-{kind}-{view.inputs.tasks.index(task)}"
    chart = charts.curve(rows, task.title, x_title, domain)
    return Panel(task.title, inline_svg(chart, name, label, SERIES))
