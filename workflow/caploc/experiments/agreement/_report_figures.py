"""Figures of agreement: beside the references, against the threshold, against the samples."""

from collections.abc import Callable, Mapping, Sequence

from caploc.experiments.agreement._report_numbers import (
    REFERENCES,
    curve,
    overlap,
    reference,
)
from caploc.report import charts
from caploc.report.charts import log_x, percent_point
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
    chart = charts.ranges(rows, SERIES, order, "split-half overlap, %")
    return inline_svg(chart, f"{view.slug}-agreement", label, SERIES)


def stability_panels(view: View) -> list[Panel]:
    """Overlap against the number of samples in each half."""
    return _panels(view, "size", "samples in each half", lambda task, key: curve(view, key, task))


def sigma_panels(view: View) -> list[Panel]:
    """Overlap against the threshold of the mask; of equal thresholds the first mask is drawn."""
    masks = {mask["sigma"]: mask["id"] for mask in reversed(view.inputs.spec["masks"])}

    def points(task: Task, key: str) -> list[tuple[float, Number]]:
        if key == CHANCE.key:
            return [
                (sigma, overlap(view, task, masks[sigma], "chance_overlap_layer"))
                for sigma in sorted(masks)
            ]
        return [(sigma, reference(view, key, task, masks[sigma])) for sigma in sorted(masks)]

    if len(masks) < 2:
        return []
    return _panels(view, "sigma", "sigma", points, (min(masks), max(masks)))


def _panels(
    view: View,
    kind: str,
    x_title: str,
    found: Callable[[Task, str], Sequence[tuple[float, Number]]],
    domain: tuple[float, float] | None = None,
) -> list[Panel]:
    """A panel for each data set; all have the same axes, which show values above 0 alone."""
    drawn = {
        task: {
            key: [(x, number) for x, number in found(task, key) if number.has_value and x > 0]
            for key in (LOCATED.key, *REFERENCES, CHANCE.key)
        }
        for task in view.inputs.tasks
    }
    xs = [x for curves in drawn.values() for points in curves.values() for x, _ in points]
    domain = domain or (max(1.0, min(xs, default=1)), max(xs, default=1))
    return [_panel(view, task, curves, x_title, domain, kind) for task, curves in drawn.items()]


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
    axis, y_title = log_x(rows, x_title, domain), "split-half overlap, %"
    chart = charts.curves(rows, SERIES, task.title, axis, y_title, percent=True)
    return Panel(task.title, inline_svg(chart, name, label, SERIES))
