"""The tables `enhancement` and `cross_enhancement`, pivoted: what training located neurons does."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from caploc.report.cells import number
from caploc.report.crossing import SET_KINDS
from caploc.report.formatting import Number, joined
from caploc.report.inputs import Task
from caploc.report.views import View

__all__ = ["enhancement", "paper", "wrong_averages"]

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


class _Cells:
    """Numbers of one model, method, mask and choice of the learning rate."""

    def __init__(self, view: View, mask: str, choice: str) -> None:
        self.rows: dict[tuple[Any, ...], Mapping[str, Any]] = {}
        for row in view.inputs.tables["enhancement"]:
            if (row["model"], row["method"], row["mask"]) != (view.model, view.method, mask):
                continue
            # Sizes do not depend on the choice.
            if row["choice"] in (choice, ""):
                names = ("dataset", "arm", "epoch", "comparison", "metric")
                self.rows[tuple(row[name] for name in names)] = row

    def number(
        self, dataset: str, arm: str, epoch: int | None, metric: str, comparison: str = ""
    ) -> Number:
        epoch = 0 if arm in _UNTRAINED else epoch
        row = self.rows.get((dataset, arm, epoch, comparison, metric))
        if row is not None and row["value"] is None:
            return Number(reason=row["interval"] or "not computed")
        return number(row)

    def n_runs(self, arm: str) -> int:
        """Orders of the data or, of random neurons, draws that the numbers of an arm rest on."""
        names = [key for key in self.rows if key[1] == arm and key[3] == ""]
        return max((self.rows[key].get("n_draws") or 0 for key in names), default=0)

    def among(self, column: int) -> list[Any]:
        """Distinct values of an identifying column, in ascending order."""
        return sorted({key[column] for key in self.rows if key[column] is not None})


def enhancement(view: View) -> list[dict[str, Any]]:
    """What the page shows of each mask and choice of rates; empty if nothing was trained."""
    rows = [
        row
        for row in view.inputs.tables.get("enhancement", [])
        if (row["model"], row["method"]) == (view.model, view.method)
    ]
    masks = [mask for mask in view.inputs.spec["masks"] if mask["id"] in {r["mask"] for r in rows}]
    choices = [choice for choice in _CHOICES if choice in {row["choice"] for row in rows}]
    return [
        _of_mask(view, _Cells(view, mask["id"], choice), mask, choice)
        for mask in masks
        for choice in choices
    ]


def _of_mask(view: View, cells: _Cells, mask: Mapping[str, Any], choice: str) -> dict[str, Any]:
    found = set(cells.among(0))
    tasks = [task for task in view.inputs.tasks if task.id in found]
    columns = [(task.id, task.title) for task in tasks]
    averaged = [*columns, *([(_AVERAGE, "Average")] if _AVERAGE in found else [])]
    arms = [arm for arm in _ARMS if arm in cells.among(1)]
    epochs = [epoch for epoch in cells.among(2) if epoch]
    last = epochs[-1] if epochs else None
    rates = {row["rate"] for row in cells.rows.values() if row["rate"] is not None}
    return {
        "sigma": mask["sigma"],
        "choice": _CHOICES[choice],
        "rates": joined([f"{rate:g}" for rate in sorted(rates)], "or")
        + (", by data set" if choice == "shared" and len(rates) > 1 else ""),
        "n_runs": {arm: cells.n_runs(arm) for arm in ("located", "layer")},
        "columns": [title for _, title in averaged],
        "epochs": [(epoch, _lines(cells, arms, averaged, epoch)) for epoch in epochs],
        "last": last,
        "beside": {
            title: [
                (
                    _ARMS[arm],
                    [cells.number(d, arm, last, metric, "located minus") for d, _ in averaged],
                )
                for arm in arms
                if arm not in ("located", *_UNTRAINED)
            ]
            for metric, title in _METRICS.items()
        },
        "findings": _findings(cells, tasks, last),
        "cross": _cross(view, mask["id"]) if choice == "shared" else [],
    }


def _lines(
    cells: _Cells, arms: Sequence[str], columns: Sequence[tuple[str, str]], epoch: int
) -> list[dict[str, Any]]:
    """One line for each arm; the best of a column is marked where it stands apart from all."""
    grid = {arm: [cells.number(d, arm, epoch, "accuracy") for d, _ in columns] for arm in arms}
    lines = []
    for arm in arms:
        sizes = [cells.number(d, arm, None, "trained_values").value for d, _ in columns]
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


def _findings(cells: _Cells, tasks: Sequence[Task], last: int | None) -> list[dict[str, str]]:
    """Located beside no training, random neurons and all others, data set by data set."""
    found = []
    for comparison, arm, about in (
        ("change", "located", "Beside no training"),
        ("located minus", "layer", "Beside random neurons of the same layers"),
        ("located minus", "rest", "Beside all other neurons"),
    ):
        told, kinds = [], []
        for metric, name in _METRICS.items():
            groups: dict[str, list[str]] = {"better": [], "worse": [], "not told apart": []}
            for task in tasks:
                one = cells.number(task.id, arm, last, metric, comparison)
                if one.has_value:
                    kind = _kind(one)
                    groups[kind].append(task.title)
                    kinds.append(kind)
            parts = [f"{kind} on {joined(titles)}" for kind, titles in groups.items() if titles]
            if parts:
                told.append(f"{name.capitalize()}: {'; '.join(parts)}.")
        if not told:
            continue
        tone = "mixed" if "better" in kinds else "against"
        if set(kinds) == {"better"}:
            tone = "supports"
        if arm == "layer" and tone == "against":
            told.append("Nothing here says that the located neurons are the ones to train.")
        found.append({"about": about, "text": " ".join(told), "tone": tone})
    return found


def _kind(difference: Number) -> str:
    if difference.bottom > 0:
        return "better"
    return "worse" if difference.top < 0 else "not told apart"


def _cross(view: View, mask: str) -> list[dict[str, Any]]:
    """Of every kind of sets: matrix source x target of changes, located and random."""
    found = [(title, _matrix(view, mask, sets)) for sets, title in SET_KINDS]
    return [{"title": title, **matrix} for title, matrix in found if matrix]


def _matrix(view: View, mask: str, sets: str) -> dict[str, Any] | None:
    rows = {
        (row["source"], row["dataset"], row["arm"], row["comparison"]): row
        for row in view.inputs.tables.get("cross_enhancement", [])
        if (row["model"], row["method"], row["mask"]) == (view.model, view.method, mask)
        and row["metric"] == "log_probability"
        and row["sets"] == sets
    }
    sources = [task for task in view.inputs.tasks if any(key[0] == task.id for key in rows)]
    if not sources:
        return None

    def cell(source: str, target: str) -> dict[str, Any]:
        own = number(rows.get((source, target, "located", "change")))
        beside = number(rows.get((source, target, "located", "beside layer")))
        apart = beside.has_value and (beside.bottom > 0 or beside.top < 0)
        return {"own": own, "beside": beside, "apart": apart}

    grid = [[cell(s.id, t.id) for t in view.inputs.tasks] for s in sources]
    most = max((abs(c["beside"].value or 0.0) for line in grid for c in line), default=0.0)
    for one in (c for line in grid for c in line):
        one["heat"] = max(0.0, one["beside"].value or 0.0) / most if most else 0.0
    contrasts = [
        (title, number(rows.get(("all", "same minus other", arm, comparison))))
        for title, arm, comparison in (
            ("located neurons trained", "located", "change"),
            ("random neurons trained", "layer", "change"),
            ("located minus random", "located", "beside layer"),
        )
    ]
    return {
        "lines": [(s.title, line) for s, line in zip(sources, grid, strict=True)],
        "contrasts": contrasts,
    }


def paper() -> dict[str, Any]:
    """Table 2 of the paper, with the averages that its cells do not give."""
    text = files("caploc.report").joinpath("paper_enhancement.json").read_text(encoding="utf-8")
    found = json.loads(text)
    return found | {"wrong": wrong_averages(found["rows"])}


def wrong_averages(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Printed averages that differ from the mean of their cells by more than rounding.

    Args:
        rows: lines of the paper's table: ``cells``, for each epoch three cells and their average.
    """
    found = []
    for index, row in enumerate(rows):
        for place, (*cells, printed) in enumerate(row["cells"]):
            mean = sum(cells) / len(cells)
            if abs(mean - printed) > 0.0101:
                found.append({"row": index, "epoch": place, "printed": printed, "mean": mean})
    return found
