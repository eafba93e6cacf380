"""The sections on agreement: stability, threshold, places, samples needed, between data sets."""

import json
from pathlib import Path
from typing import Any

import polars as pl

from caploc.experiments.agreement._findings import findings, tiles
from caploc.experiments.agreement._pairs import pair_rows, pair_verdict
from caploc.experiments.agreement._places import neuron_panels
from caploc.experiments.agreement._report_figures import (
    agreement_figure,
    sigma_panels,
    stability_panels,
)
from caploc.experiments.agreement._report_numbers import (
    halves,
    largest,
    located_share,
    overlap,
    pair,
    reference,
    rows,
)
from caploc.experiments.agreement.table import AGREEMENT
from caploc.files.base_tables import NEURONS
from caploc.report.formatting import Number
from caploc.report.inputs import Inputs, Task
from caploc.report.palette import SERIES, SHARING
from caploc.report.views import View, views

__all__ = ["CONTENTS", "ORDER", "TABLES", "findings", "section", "tiles"]

TABLES = {"agreement": AGREEMENT, "neurons": NEURONS}
ORDER = 10
CONTENTS = (
    ("stability", "Are the same neurons found again?"),
    ("sigma", "Does the threshold matter?"),
    ("places", "Where they sit"),
    ("size", "How many samples it takes"),
    ("between", "Between data sets"),
)
_STABILITY = {
    "whole": "located_share_whole", "share": "located_share", "overlap": "overlap", "iou": "iou",
    "chance_uniform": "chance_overlap_uniform", "chance_layer": "chance_overlap_layer",
}  # fmt: skip


def section(inputs: Inputs) -> dict[str, Any]:
    """What the page shows.

    Returns:
        ``paper`` (its Table 1, percent), legends ``series`` and ``sharing``, and of every view the
        ``figure`` beside the references, ``stability`` and ``references`` (lines of Table 1),
        ``sigmas`` (data set; located share, overlap and IoU of each mask), ``matrix`` (data set;
        overlap with each, on the diagonal of its own halves), ``pairs`` with their ``verdict``,
        panels ``sigma_panels``, ``maps`` and ``curves``.
    """
    paper = json.loads(Path(__file__).with_name("paper.json").read_text(encoding="utf-8"))
    found = [_view(view) for view in views(inputs)]
    return {"paper": paper, "series": SERIES, "sharing": SHARING, "views": found}


def _view(view: View) -> dict[str, Any]:
    tasks, frame = view.inputs.tasks, rows(view)
    masks = [mask["id"] for mask in view.inputs.spec["masks"]]
    return {
        "view": view,
        "figure": agreement_figure(view),
        "stability": [_of_task(view, frame, task) for task in tasks],
        "references": _references(view, frame),
        "sigmas": [(task, [_of_mask(view, task, mask) for mask in masks]) for task in tasks],
        "sigma_panels": sigma_panels(view),
        "maps": neuron_panels(view),
        "curves": stability_panels(view),
        "matrix": [
            (
                a,
                [
                    overlap(view, a) if a == b else pair(frame, "datasets", (a.id, b.id), "overlap")
                    for b in tasks
                ],
            )
            for a in tasks
        ],
        "pairs": pair_rows(view),
        "verdict": pair_verdict(view),
    }


def _of_mask(view: View, task: Task, mask: str) -> tuple[Number, Number, Number]:
    share, iou = located_share(view, task, mask), overlap(view, task, mask, "iou")
    return share, overlap(view, task, mask), iou


def _of_task(view: View, frame: pl.DataFrame, task: Task) -> dict[str, Any]:
    sides = (task.id, f"{task.id}.shuffled")
    return _line(frame, "located", task.id, task.title) | {
        "shuffled": reference(view, "shuffled", task),
        "cross": pair(frame, "shuffled-mask", sides, "overlap"),
    }


def _references(view: View, frame: pl.DataFrame) -> list[dict[str, Any]]:
    """The references that are the same for every data set, in the columns of Table 1.

    A reference that the run does not have has no line; one without a value has.
    """
    found = [("mixture", "mixture", "Mixture of all data sets")]
    if view.inputs.neutral:
        found.append(("neutral", view.inputs.neutral.id, view.inputs.neutral.title))
    return [_line(frame, *one) for one in found if largest(frame, *one[:2]) is not None]


def _line(frame: pl.DataFrame, arm: str, dataset: str, title: str) -> dict[str, Any]:
    """A line of Table 1: a data set or a reference, with every number of its halves."""
    found = {name: halves(frame, arm, dataset, metric) for name, metric in _STABILITY.items()}
    none = Number(reason="")
    return {
        "title": title,
        "id": dataset,
        "n_half": largest(frame, arm, dataset) or None,
        # There is at least the size of the located set, be it empty.
        "computed": any(found[name].has_value for name in ("whole", "share", "overlap")),
        "shuffled": none,
        "cross": none,
        **found,
    }
