"""The section on trained neurons: the tables `enhancement` and `cross_enhancement`, pivoted."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from caploc.experiments.enhancement.table import CROSS_ENHANCEMENT, ENHANCEMENT
from caploc.report.findings import Finding, Tone
from caploc.report.formatting import NOT_COMPUTED, Number, joined
from caploc.report.inputs import Inputs, Task
from caploc.report.numbers import matching, number, row
from caploc.report.set_kinds import SET_KINDS
from caploc.report.views import View, views

__all__ = ["CONTENTS", "ORDER", "TABLES", "findings", "section", "wrong_averages"]

TABLES = {"enhancement": ENHANCEMENT, "cross_enhancement": CROSS_ENHANCEMENT}
ORDER = 30
CONTENTS = (("enhancement", "What training them does"),)
_ARMS = {
    "none": "no training",
    "scaled": "no training, located activations doubled",
    "layer": "random neurons, same number in each layer",
    "uniform": "random neurons, from all layers",
    "rest": "all but the located neurons (w/o located)",
    "full": "every FFN neuron",
    "lora": "low-rank adapters (LoRA)",
    "located": "located neurons",
}
_UNTRAINED = ("none", "scaled")
_AVERAGE = "average"
_CHOICES = {
    "shared": "one learning rate for all arms",
    "best": "the best learning rate of each arm",
}
_METRICS = {"accuracy": "right answers", "log_probability": "log-probability of the gold answer"}
_BESIDE = "Beside random neurons of the same layers"


def section(inputs: Inputs) -> dict[str, Any] | None:
    """What the page shows; None if nothing was trained.

    Returns:
        ``paper`` (its Table 2, and averages ``wrong`` that its cells do not give), and of every
        view ``tables``, one for each mask and choice of the learning rate.
    """
    if "enhancement" not in inputs.tables:
        return None
    paper = json.loads(Path(__file__).with_name("paper.json").read_text(encoding="utf-8"))
    return {
        "paper": paper | {"wrong": wrong_averages(paper["rows"])},
        "views": [
            {"view": view, "tables": [_of_mask(view, *part) for part in _parts(view)]}
            for view in views(inputs)
        ],
    }


def findings(view: View) -> list[Finding]:
    """Located neurons beside random ones of the same layers, by the headline mask if it trained."""
    parts = _parts(view) if "enhancement" in view.inputs.tables else []
    for mask, choice in sorted(parts, key=lambda part: part[0]["sigma"] != view.sigma):
        frame = _rows(view, mask, choice)
        for found in _findings(frame, _trained(view, frame), _epochs(frame)):
            if found.about == _BESIDE:
                tone: Tone = "mixed" if found.tone == "caution" else found.tone
                text = f"{found.about} (sigma {mask['sigma']:g}). {found.text}"
                return [Finding(tone, "Training them", text)]
    return []


def _parts(view: View) -> list[tuple[Mapping[str, Any], str]]:
    """Masks and choices of the learning rate that the table has."""
    frame = matching(view.inputs.tables["enhancement"], model=view.model, method=view.method)
    masks, choices = set(frame["mask"]), set(frame["choice"])
    return [
        (mask, choice)
        for mask in view.inputs.spec["masks"]
        if mask["id"] in masks
        for choice in _CHOICES
        if choice in choices
    ]


def _rows(view: View, mask: Mapping[str, Any], choice: str) -> pl.DataFrame:
    """Rows of one mask and choice; sizes do not depend on the choice."""
    frame = matching(
        view.inputs.tables["enhancement"], model=view.model, method=view.method, mask=mask["id"]
    )
    return frame.filter(pl.col("choice").is_in([choice, ""]))


def _number(
    frame: pl.DataFrame, dataset: str, arm: str, epoch: int | None, metric: str,
    comparison: str = "",
) -> Number:  # fmt: skip
    epoch = 0 if arm in _UNTRAINED else epoch
    own = matching(
        frame, dataset=dataset, arm=arm, epoch=epoch, comparison=comparison, metric=metric
    )
    found = row(own)
    if found is not None and found["value"] is None:
        return Number(reason=found["interval"] or NOT_COMPUTED)
    return number(own)


def _epochs(frame: pl.DataFrame) -> list[int]:
    return frame.filter(pl.col("epoch") > 0)["epoch"].unique().sort().to_list()


def _trained(view: View, frame: pl.DataFrame) -> list[Task]:
    return [task for task in view.inputs.tasks if task.id in set(frame["dataset"])]


def _of_mask(view: View, mask: Mapping[str, Any], choice: str) -> dict[str, Any]:
    frame = _rows(view, mask, choice)
    tasks, epochs = _trained(view, frame), _epochs(frame)
    average = [(_AVERAGE, "Average")] if _AVERAGE in set(frame["dataset"]) else []
    columns = [*((task.id, task.title) for task in tasks), *average]
    arms = [arm for arm in _ARMS if arm in set(frame["arm"])]
    last = epochs[-1] if epochs else None
    rates = frame["rate"].drop_nulls().unique().sort()
    by_set = ", by data set" if choice == "shared" and len(rates) > 1 else ""
    # Orders of the data or, of random neurons, draws that the numbers of an arm rest on.
    runs = {a: matching(frame, arm=a, comparison="")["n_draws"].max() for a in ("located", "layer")}
    return {
        "sigma": mask["sigma"],
        "choice": _CHOICES[choice],
        "rates": joined([f"{rate:g}" for rate in rates], "or") + by_set,
        "n_runs": runs,
        "columns": [title for _, title in columns],
        "epochs": [(epoch, _lines(frame, arms, columns, epoch)) for epoch in epochs],
        "last": last,
        "beside": {
            title: [
                (
                    _ARMS[arm],
                    [_number(frame, d, arm, last, metric, "located minus") for d, _ in columns],
                )
                for arm in arms
                if arm not in ("located", *_UNTRAINED)
            ]
            for metric, title in _METRICS.items()
        },
        "findings": _findings(frame, tasks, epochs),
        "cross": _cross(view, mask["id"]) if choice == "shared" else [],
    }


def _lines(
    frame: pl.DataFrame, arms: Sequence[str], columns: Sequence[tuple[str, str]], epoch: int
) -> list[dict[str, Any]]:
    """One line for each arm; the best of a column is marked where it stands apart from all."""
    grid = {arm: [_number(frame, d, arm, epoch, "accuracy") for d, _ in columns] for arm in arms}
    lines = []
    for arm in arms:
        sizes = [_number(frame, d, arm, None, "trained_values").value for d, _ in columns]
        known = sorted({int(size) for size in sizes if size is not None})
        others = [grid[other] for other in arms if other != arm]
        best = [
            one.has_value
            and bool(others)
            and all(not o[i].has_value or one.bottom > o[i].top for o in others)
            for i, one in enumerate(grid[arm])
        ]
        lines.append(
            {
                "title": _ARMS[arm],
                "trained": known,
                "numbers": list(zip(grid[arm], best, strict=True)),
            }
        )
    return lines


def _findings(frame: pl.DataFrame, tasks: Sequence[Task], epochs: Sequence[int]) -> list[Finding]:
    """Located beside no training, random neurons and all others, data set by data set."""
    last = epochs[-1] if epochs else None
    found = []
    for comparison, arm, about in (
        ("change", "located", "Beside no training"),
        ("located minus", "layer", _BESIDE),
        ("located minus", "rest", "Beside all other neurons"),
    ):
        told, kinds = [], []
        for metric, name in _METRICS.items():
            groups: dict[str, list[str]] = {"better": [], "worse": [], "not told apart": []}
            for task in tasks:
                one = _number(frame, task.id, arm, last, metric, comparison)
                if one.has_value:
                    kind = _kind(one)
                    groups[kind].append(task.title)
                    kinds.append(kind)
            parts = [f"{kind} on {joined(titles)}" for kind, titles in groups.items() if titles]
            if parts:
                told.append(f"{name.capitalize()}: {'; '.join(parts)}.")
        if not told:
            continue
        tone: Tone = "mixed" if "better" in kinds else "against"
        if set(kinds) == {"better"}:
            tone = "supports"
        if arm == "layer" and tone == "against":
            told.append("Nothing here says that the located neurons are the ones to train.")
        found.append(Finding(tone, about, " ".join(told)))
    return found


def _kind(difference: Number) -> str:
    if difference.bottom > 0:
        return "better"
    return "worse" if difference.top < 0 else "not told apart"


def _cross(view: View, mask: str) -> list[dict[str, Any]]:
    """Of every kind of sets: matrix source x target of changes, located and random."""
    empty = pl.DataFrame(schema=dict(CROSS_ENHANCEMENT))
    frame = matching(
        view.inputs.tables.get("cross_enhancement", empty), model=view.model, method=view.method,
        mask=mask, metric="log_probability",
    )  # fmt: skip
    found = [
        (title, own)
        for sets, title in SET_KINDS.items()
        if not (own := matching(frame, sets=sets)).is_empty()
    ]
    return [{"title": title, **_matrix(view, own)} for title, own in found]


def _matrix(view: View, frame: pl.DataFrame) -> dict[str, Any]:
    tasks, trained = view.inputs.tasks, set(frame["source"])
    sources = [task for task in tasks if task.id in trained]
    own, beside = (
        [
            [
                number(frame, source=s.id, dataset=t.id, arm="located", comparison=comparison)
                for t in tasks
            ]
            for s in sources
        ]
        for comparison in ("change", "beside layer")
    )
    most = max((abs(one.value or 0.0) for line in beside for one in line), default=0.0)
    contrast = {"source": "all", "dataset": "same minus other"}
    return {
        "lines": [
            (
                source.title,
                [
                    {
                        "own": change,
                        "beside": one,
                        "apart": one.has_value and (one.bottom > 0 or one.top < 0),
                        "heat": max(0.0, one.value or 0.0) / most if most else 0.0,
                    }
                    for change, one in zip(changes, ones, strict=True)
                ],
            )
            for source, changes, ones in zip(sources, own, beside, strict=True)
        ],
        "contrasts": [
            (title, number(frame, **contrast, arm=arm, comparison=comparison))
            for title, arm, comparison in (
                ("located neurons trained", "located", "change"),
                ("random neurons trained", "layer", "change"),
                ("located minus random", "located", "beside layer"),
            )
        ],
    }


def wrong_averages(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Printed averages that differ from the mean of their cells by more than rounding.

    Args:
        rows: lines of the paper's table: ``cells``, for each epoch three cells and their average.
    """
    found = []
    for index, line in enumerate(rows):
        for place, (*cells, printed) in enumerate(line["cells"]):
            mean = sum(cells) / len(cells)
            if abs(mean - printed) > 0.0101:
                found.append({"row": index, "epoch": place, "printed": printed, "mean": mean})
    return found
