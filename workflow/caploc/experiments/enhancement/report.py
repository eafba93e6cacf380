"""The section on trained neurons: which rows of its tables stand beside each other."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from caploc.experiments.enhancement.table import CROSS_ENHANCEMENT, ENHANCEMENT
from caploc.report.findings import Finding, Tone
from caploc.report.formatting import NOT_COMPUTED, Number
from caploc.report.inputs import Inputs
from caploc.report.numbers import matching, number
from caploc.report.set_kinds import SET_KINDS
from caploc.report.templates import finding
from caploc.report.views import View, views

__all__ = ["CONTENTS", "ORDER", "TABLES", "findings", "section"]

TABLES = {"enhancement": ENHANCEMENT, "cross_enhancement": CROSS_ENHANCEMENT}
ORDER = 30
CONTENTS = (("enhancement", "What training them does"),)
_ARMS = ("none", "scaled", "layer", "uniform", "rest", "full", "lora", "located")
_UNTRAINED = ("none", "scaled")
_CHOICES = ("shared", "best")
_METRICS = {"accuracy": "right answers", "log_probability": "log-probability of the gold answer"}
_BESIDE = "Beside random neurons of the same layers"
_SIDES = {"above": "better", "below": "worse", "within": "not told apart"}


def section(inputs: Inputs) -> dict[str, Any] | None:
    """What the page shows; None if nothing was trained.

    Returns:
        ``untrained`` arms, ``metrics`` (their names in words), ``number`` (`_number`) and of every
        view ``tables``, one for each mask and choice of the learning rate.
    """
    if inputs.tables["enhancement"].is_empty():
        return None
    return {
        "untrained": _UNTRAINED,
        "metrics": _METRICS,
        "number": _number,
        "views": [
            {"view": view, "tables": [_of_mask(view, *part) for part in _parts(view)]}
            for view in views(inputs)
        ],
    }


def findings(view: View) -> list[Finding]:
    """Located neurons beside random ones of the same layers, by the headline mask if it trained."""
    for mask, choice in sorted(_parts(view), key=lambda part: part[0]["sigma"] != view.sigma):
        for found in _of_mask(view, mask, choice)["findings"]:
            if found.about == _BESIDE:
                text = f"{found.about} (sigma {mask['sigma']:g}). {found.text}"
                return [Finding(found.tone, "Training them", text)]
    return []


def _parts(view: View) -> list[tuple[Mapping[str, Any], str]]:
    """Masks and choices of the learning rate that the table has."""
    frame = view.rows("enhancement")
    masks = [mask for mask in view.inputs.spec["masks"] if mask["id"] in frame["mask"]]
    choices = [choice for choice in _CHOICES if choice in frame["choice"]]
    return [(mask, choice) for mask in masks for choice in choices]


def _number(
    frame: pl.DataFrame, dataset: str, arm: str, epoch: int | None, metric: str,
    comparison: str = "",
) -> Number:  # fmt: skip
    epoch = 0 if arm in _UNTRAINED else epoch
    own = matching(
        frame, dataset=dataset, arm=arm, epoch=epoch, comparison=comparison, metric=metric
    )
    found = number(own)
    if found.has_value or own.is_empty():
        return found
    return Number(reason=found.interval or NOT_COMPUTED)


def _of_mask(view: View, mask: Mapping[str, Any], choice: str) -> dict[str, Any]:
    """Rows of one mask and choice; sizes do not depend on the choice.

    Returns:
        ``frame``, ``sigma``, ``choice``, learning ``rates``, ``columns`` (id and title), ``arms``,
        ``epochs``, the ``last`` of them, ``best`` (dataset, arm, epoch), the ``findings`` and
        ``cross``: kind of sets, rows, and the largest change beside random.
    """
    frame = view.rows("enhancement", mask=mask["id"])
    frame = frame.filter(pl.col("choice").is_in([choice, ""]))
    datasets = [(task.id, task.title) for task in view.inputs.tasks]
    columns = [one for one in [*datasets, ("average", "Average")] if one[0] in frame["dataset"]]
    arms = [arm for arm in _ARMS if arm in frame["arm"]]
    epochs = frame.filter(pl.col("epoch") > 0)["epoch"].unique().sort().to_list()
    last = epochs[-1] if epochs else None
    return {
        "frame": frame,
        "sigma": mask["sigma"],
        "choice": choice,
        "rates": [f"{rate:g}" for rate in frame["rate"].drop_nulls().unique().sort()],
        "columns": columns,
        "arms": arms,
        "epochs": epochs,
        "last": last,
        "best": {
            (dataset, arm, epoch)
            for dataset, _ in columns
            for epoch in epochs
            if (arm := _best(frame, dataset, arms, epoch))
        },
        "findings": _findings(frame, [one for one in columns if one in datasets], last),
        "cross": _cross(view, mask["id"]) if choice == "shared" else [],
    }


def _best(frame: pl.DataFrame, dataset: str, arms: Sequence[str], epoch: int) -> str:
    """The arm whose interval stands above those of all others; empty if none does."""
    found = {arm: _number(frame, dataset, arm, epoch, "accuracy") for arm in arms}
    known = {arm: one for arm, one in found.items() if one.has_value}
    if not known or len(arms) < 2:
        return ""
    best = max(known, key=lambda arm: known[arm].bottom)
    apart = all(known[best].bottom > one.top for arm, one in known.items() if arm != best)
    return best if apart else ""


def _findings(
    frame: pl.DataFrame, tasks: Sequence[tuple[str, str]], last: int | None
) -> list[Finding]:
    """Located beside no training, random neurons and all others, data set by data set."""
    found = []
    for comparison, arm, about in (
        ("change", "located", "Beside no training"),
        ("located minus", "layer", _BESIDE),
        ("located minus", "rest", "Beside all other neurons"),
    ):
        told = {}
        for metric, name in _METRICS.items():
            sides = [
                (_number(frame, dataset, arm, last, metric, comparison).side, title)
                for dataset, title in tasks
            ]
            groups = {w: [title for s, title in sides if s == side] for side, w in _SIDES.items()}
            told[name] = {word: titles for word, titles in groups.items() if titles}
        words = {word for groups in told.values() for word in groups}
        if words:
            tone: Tone = "mixed" if "better" in words else "against"
            tone = "supports" if words == {"better"} else tone
            nothing = arm == "layer" and tone == "against"
            found.append(finding(
                tone, about, "enhancement", "beside", told=told, nothing=nothing
            ))  # fmt: skip
    return found


def _cross(view: View, mask: str) -> list[tuple[str, pl.DataFrame, float]]:
    frame = view.rows("cross_enhancement", mask=mask, metric="log_probability")
    ids = [task.id for task in view.inputs.tasks]
    named = matching(frame, comparison="beside layer", arm="located")
    named = named.filter(pl.col("dataset").is_in(ids)).drop_nulls("value")
    return [
        (
            title,
            matching(frame, sets=sets),
            max(map(abs, matching(named, sets=sets)["value"]), default=0.0),
        )
        for sets, title in SET_KINDS.items()
        if sets in frame["sets"]
    ]
