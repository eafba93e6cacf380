"""Tables of the page: rows of the tidy tables, pivoted for reading; nothing is computed."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from caploc.report.cells import number
from caploc.report.findings import USEFUL
from caploc.report.formatting import Number
from caploc.report.inputs import Inputs, Task
from caploc.report.views import View

__all__ = [
    "BaseRow",
    "StabilityRow",
    "base_rows",
    "converged_rows",
    "drop_rows",
    "flat",
    "gap_rows",
    "matrix",
    "pair_rows",
    "paper",
    "reference_rows",
    "sample_rows",
    "sigma_rows",
    "split_check",
    "stability_rows",
    "used_settings",
]


@dataclass(frozen=True, slots=True)
class StabilityRow:
    """A line of Table 1: a data set or a reference, with every number of its halves."""

    title: str
    id: str
    n_half: int | None
    whole: Number
    share: Number
    overlap: Number
    iou: Number
    chance_uniform: Number
    chance_layer: Number
    shuffled: Number
    cross: Number

    @property
    def computed(self) -> bool:
        """There is at least the size of the located set, be it empty."""
        return self.whole.has_value or self.share.has_value or self.overlap.has_value


def stability_rows(view: View) -> list[StabilityRow]:
    """Table 1: one line for each data set."""
    return [_stability(view, "located", task.id, task.title, task) for task in view.inputs.tasks]


def reference_rows(view: View) -> list[StabilityRow]:
    """The references that are the same for every data set, in the columns of Table 1.

    A reference that the run does not have has no row; one without a value has.
    """
    found = [("mixture", "mixture", "Mixture of all data sets")]
    if view.inputs.neutral:
        found.append(("neutral", view.inputs.neutral.id, view.inputs.neutral.title))
    return [
        _stability(view, arm, dataset, title, None)
        for arm, dataset, title in found
        if view.headline.n_half(arm, dataset) is not None
    ]


def _stability(view: View, arm: str, dataset: str, title: str, task: Task | None) -> StabilityRow:
    cells = view.headline
    metrics = {
        "whole": "located_share_whole", "share": "located_share", "overlap": "overlap",
        "iou": "iou", "chance_uniform": "chance_overlap_uniform",
        "chance_layer": "chance_overlap_layer",
    }  # fmt: skip
    found = {name: cells.halves(arm, dataset, metric) for name, metric in metrics.items()}
    none = Number(reason="")
    own = f"{dataset}.shuffled"
    return StabilityRow(
        title=title,
        id=dataset,
        n_half=cells.n_half(arm, dataset) or None,
        shuffled=view.reference("shuffled", task) if task else none,
        cross=cells.pair("shuffled-mask", dataset, own, "overlap") if task else none,
        **found,
    )


@dataclass(frozen=True, slots=True)
class BaseRow:
    """Accuracy of the unchanged model on one data set; `useful` is None without a value."""

    task: Task
    split: str
    accuracy: Number
    useful: bool | None


def base_rows(inputs: Inputs, model: str) -> list[BaseRow]:
    """Accuracy for every data set of the run, and for the neutral text if it was scored."""
    rows = {
        row["dataset"]: row
        for row in inputs.tables["base"]
        if row["model"] == model and row["metric"] == "exact_match"
    }
    extra = [inputs.neutral] if inputs.neutral and inputs.neutral.id in rows else []
    result = []
    for task in [*inputs.tasks, *extra]:
        row = rows.get(task.id)
        accuracy = number(row)
        useful = None
        if accuracy.value is not None:
            useful = USEFUL[0] <= accuracy.value <= USEFUL[1]
        result.append(BaseRow(task, row["split"] if row else "", accuracy, useful))
    return result


def sigma_rows(view: View) -> list[tuple[Task, list[tuple[Number, Number, Number]]]]:
    """For each data set and mask: located share, overlap, IoU."""
    masks = [mask["id"] for mask in view.inputs.spec["masks"]]
    return [
        (
            task,
            [
                (
                    view.located_share(task, mask),
                    view.overlap(task, mask),
                    view.overlap(task, mask, "iou"),
                )
                for mask in masks
            ],
        )
        for task in view.inputs.tasks
    ]


def matrix(view: View) -> list[tuple[Task, list[Number]]]:
    """Overlap of every data set with every other; on the diagonal, of its own two halves."""
    tasks = view.inputs.tasks
    return [
        (
            a,
            [
                view.overlap(a) if a == b else view.headline.pair("datasets", a.id, b.id, "overlap")
                for b in tasks
            ],
        )
        for a in tasks
    ]


def pair_rows(view: View) -> list[dict[str, Any]]:
    """Declared pairs with their overlap, chance and number of common neurons."""
    return [
        {"pair": pair, "a": view.inputs.title(pair.a), "b": view.inputs.title(pair.b)}
        | {
            metric: view.headline.pair("datasets", pair.a, pair.b, metric)
            for metric in ("overlap", "iou", "chance_overlap_layer", "shared_count")
        }
        for pair in view.inputs.pairs
    ]


def gap_rows(view: View) -> list[tuple[str, list[dict[str, float | None]]]]:
    """For each data set and layer: error relative to the effect, its distribution, the effect."""
    ratio = view.gaps()
    names = ("rest_p50", "rest_p90", "rest_max", "endpoint", "effect")
    figures = {name: view.completeness(name) for name in names}
    known = {dataset for dataset, _ in figures["effect"]}
    ids = [task.id for task in view.inputs.tasks]
    ids += sorted(known - set(ids))
    return [
        (
            view.inputs.title(dataset),
            [
                {"ratio": ratio.get(key)} | {name: figures[name].get(key) for name in names}
                for key in ((dataset, layer) for layer in range(view.grid[0]))
            ],
        )
        for dataset in ids
    ]


def converged_rows(view: View) -> list[tuple[str, Number, Number]]:
    """For each data set that has them: IoU with the converged mask, difference of the scores."""
    pairs = [("converged-mask", task.id, f"{task.id}.converged") for task in view.inputs.tasks]
    cells = view.headline
    found = [
        (view.inputs.title(pair[1]), cells.pair(*pair, "iou"), cells.pair(*pair, "score_error"))
        for pair in pairs
    ]
    return [row for row in found if row[2].has_value]


def sample_rows(inputs: Inputs) -> tuple[list[str], list[tuple[str, list[int | None]]]]:
    """Column names, and for each data set how many samples each split and model kept."""
    rows = [
        row
        for row in inputs.tables["samples"]
        if row["metric"] == "kept" and not row["dataset"].endswith(".shuffled")
    ]
    prepared = [row for row in rows if not row["model"]]
    splits = _ordered((r["split"] for r in prepared), ("locate", "train", "validation", "test"))
    models = [m for m in inputs.spec["models"] if any(row["model"] == m for row in rows)]
    datasets = _ordered((row["dataset"] for row in prepared), [task.id for task in inputs.tasks])
    counts = {(row["dataset"], row["model"], row["split"]): row["value"] for row in rows}
    columns = [("", split) for split in splits] + [(model, "locate") for model in models]
    names = [split if not model else f"scored, {model}" for model, split in columns]
    return names, [(inputs.title(d), [counts.get((d, *c)) for c in columns]) for d in datasets]


def drop_rows(inputs: Inputs) -> list[Mapping[str, Any]]:
    """Samples that were left out, with the reason."""
    return [
        {**row, "title": inputs.title(row["dataset"])}
        for row in inputs.tables["samples"]
        if row["metric"] == "dropped" and row["value"]
    ]


def split_check(splits: Mapping[str, Any]) -> dict[str, Any]:
    """Questions in common within data sets, with the training text, and between data sets."""
    kinds: dict[str, list[Mapping[str, Any]]] = {"within": [], "training": [], "between": []}
    for row in splits["pairs"]:
        first, second = row["a"], row["b"]
        if second.startswith("training text"):
            kinds["training"].append(row)
        else:
            same = first.rpartition("/")[0] == second.rpartition("/")[0]
            kinds["within" if same else "between"].append(row)
    totals = {
        kind: {"pairs": len(rows), "shared": sum(row["shared"] for row in rows)}
        for kind, rows in kinds.items()
    }
    return totals | {"common": [row for row in splits["pairs"] if row["shared"]]}


def _ordered(names: Iterable[str], first: Iterable[str]) -> list[str]:
    """Distinct names: those of `first` in its order, then the others sorted."""
    found = set(names)
    known = [name for name in first if name in found]
    return known + sorted(found - set(known))


def flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as (dotted key, JSON value); lists of plain values stay on one line."""
    if isinstance(value, Mapping) and value:
        return [
            line
            for key in sorted(value)
            for line in flat(value[key], f"{prefix}.{key}" if prefix else str(key))
        ]
    return [(prefix, json.dumps(value, ensure_ascii=False, sort_keys=True))]


_AGREEMENT = (
    "methods", "masks", "headline_mask", "splits", "shuffled", "mixture", "neutral", "seed",
    "minimum_samples",
)  # fmt: skip


def used_settings(config: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """What the sections were run with: by experiment, and for `agreement` and `methods`.

    Args:
        config: the whole checked configuration.
    """
    run = config.get("run", {})
    found = {
        name: flat(config.get("experiments", {}).get(name, {}))
        for name in (
            "erasure", "cross_erasure", "enhancement", "fidelity", "reliability", "decoupling"
        )
    }  # fmt: skip
    found["agreement"] = [(f"run.{k}", json.dumps(run[k])) for k in _AGREEMENT if k in run]
    used = {name: config.get("methods", {}).get(name, {}) for name in run.get("methods", [])}
    found["methods"] = flat(used)
    return {name: [line for line in lines if line[0]] for name, lines in found.items()}


def paper() -> dict[str, Any]:
    """Table 1 as the paper prints it, in percent."""
    text = files("caploc.report").joinpath("paper.json").read_text(encoding="utf-8")
    return json.loads(text)
