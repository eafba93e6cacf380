"""The section about the unchanged model: its accuracy, and how it was trained if it was here."""

from typing import Any

import polars as pl

from caploc.files.base_tables import BASE
from caploc.report import charts
from caploc.report.findings import Finding
from caploc.report.formatting import count, percent
from caploc.report.inputs import Inputs
from caploc.report.numbers import matching, number, row
from caploc.report.palette import LOCATED, SHARING, Series
from caploc.report.svg import Drawing, Panel, inline_svg
from caploc.report.templates import finding
from caploc.report.views import View

__all__ = ["CONTENTS", "ORDER", "TABLES", "findings", "section"]

TABLES = {"base": BASE}
ORDER = 5
CONTENTS = (("model", "The model itself"),)
# Below, too few right answers to attribute; above, too little room to tell data sets apart.
_USEFUL = (0.20, 0.95)
_MOST_STEPS = 400
# Inside that range and outside.
_LOOKS = (
    Series("useful", "", LOCATED.colour, "circle"),
    Series("outside", "", SHARING[1].colour, "cross"),
)


def section(inputs: Inputs) -> dict[str, Any]:
    """Of every model: ``id``, ``base`` (rows of the table), figures ``accuracy`` and ``loss``."""
    models = [
        {
            "id": model,
            "base": (rows := _rows(inputs, model)),
            "accuracy": _accuracy(inputs, model, rows),
            "loss": _loss(inputs, model),
        }
        for model in inputs.spec["models"]
    ]
    return {"models": models, "range": _USEFUL}


def findings(view: View) -> list[Finding]:
    """Data sets that the model answers too rarely or too surely."""
    outside = [
        f"{line['task'].title} ({percent(line['accuracy'].value)} %)"
        for line in _rows(view.inputs, view.model)
        if line["useful"] is False and line["task"] in view.inputs.tasks
    ]
    about = "The model itself"
    return (
        [finding("caution", about, "", "useful", outside=outside, range=_USEFUL)] if outside else []
    )


def _rows(inputs: Inputs, model: str) -> list[dict[str, Any]]:
    """Accuracy for every data set of the run, and for the neutral text if it was scored."""
    frame = matching(inputs.tables["base"], model=model, metric="exact_match")
    scored = frame["dataset"].to_list()
    extra = [inputs.neutral] if inputs.neutral and inputs.neutral.id in scored else []
    rows = []
    for task in [*inputs.tasks, *extra]:
        accuracy = number(frame, dataset=task.id)
        useful = None
        if accuracy.value is not None:
            useful = _USEFUL[0] <= accuracy.value <= _USEFUL[1]
        split = (row(frame, dataset=task.id) or {}).get("split", "")
        rows.append({"task": task, "split": split, "accuracy": accuracy, "useful": useful})
    return rows


def _accuracy(inputs: Inputs, model: str, rows: list[dict[str, Any]]) -> Drawing | None:
    found = [(r["task"].title, r["accuracy"], r["useful"]) for r in rows if r["useful"] is not None]
    if not found:
        return None
    points = [
        charts.percent_point(accuracy, dataset=title, series=_LOOKS[not useful].key)
        for title, accuracy, useful in found
    ]
    spoken = "; ".join(f"{title} {percent(accuracy.value)} %" for title, accuracy, _ in found)
    name = f"m{inputs.spec['models'].index(model)}-accuracy"
    limits = [100 * limit for limit in _USEFUL]
    order = [title for title, _, _ in found]
    chart = charts.ranges(points, _LOOKS, order, "correct answers, %", limits)
    return inline_svg(chart, name, f"Correct answers: {spoken}")


def _loss(inputs: Inputs, model: str) -> Panel | None:
    """Training loss; None for a model that was not trained here."""
    frame = inputs.losses.get(model, pl.DataFrame())
    if frame.is_empty():
        return None
    every = -(-len(frame) // _MOST_STEPS)
    first, last = frame["loss"][0], frame["loss"][-1]
    label = f"Training loss falls from {first:.3g} to {last:.3g}"
    if last >= first:
        label = f"Training loss does not fall: {first:.3g} to {last:.3g}"
    name = f"m{inputs.spec['models'].index(model)}-loss"
    chart = charts.loss(frame.gather_every(every).to_dicts())
    svg = inline_svg(chart, name, f"{label} over {count(len(frame), 'logged step')}")
    return Panel(model, svg, f"One in {every} logged steps is drawn." if every > 1 else "")
