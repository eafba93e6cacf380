"""Settings of the stages of the enhancement experiment: one function a stage, named like it."""

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from caploc.experiments.enhancement.settings import Arms
from caploc.stages.jobs import place

if TYPE_CHECKING:
    from caploc.jobs.run import Run

_NAME = "enhancement"
_OWN = "own"


def tasks(run: "Run") -> list[str]:
    """Ids of the tasks that are trained on."""
    return _among(run.settings["tasks"], run.config["experiments"][_NAME]["tasks"])


def masks(run: "Run") -> list[str]:
    """Ids of the masks whose neurons train."""
    return _among(run.settings["masks"], run.config["experiments"][_NAME]["masks"])


def _among(ids: list[str], wanted: list[str]) -> list[str]:
    """Those of a run that are wanted; all of them where the run has none of the wanted ones."""
    return [name for name in ids if name in wanted] or ids


def targets(run: "Run", task: str) -> list[str]:
    """Ids of the tasks that are tested after training on one, itself first."""
    if not run.config["experiments"][_NAME]["cross"]:
        return [task]
    return [task, *(other for other in run.settings["tasks"] if other != task)]


def all_enhanced(run: "Run") -> list[str]:
    """Answers of every model, trained task and method."""
    folder = run.root / "enhancement"
    return [
        str(folder / model / task / f"{method}.parquet")
        for model in run.settings["models"]
        for task in tasks(run)
        for method in run.settings["methods"]
    ]


def enhancement_inputs(run: "Run", model: str, task: str, method: str) -> dict[str, list[str]]:
    """Masks and test samples that one job reads."""

    def mask_of(task: str, mask: str | None) -> str:
        return str(run.root / "masks" / model / task / method / f"{mask}.parquet")

    told = enhance_task(run, model, task, method)
    return {
        "masks": [mask_of(task, mask) for mask in masks(run)],
        "crossing": [mask_of(source, told["cross_mask"]) for source in told["sources"]],
        "tests": [
            str(run.root / "samples" / target / "test.parquet") for target in targets(run, task)
        ],
    }


def enhance_task(run: "Run", model: str, task: str, method: str) -> dict[str, Any]:
    settings = run.config["experiments"][_NAME]
    crossed = len(targets(run, task)) > 1
    headline = run.settings["headline_mask"]
    sets = settings["sets"] if crossed else [_OWN]
    return {
        "model": model,
        "task": task,
        "method": method,
        "masks": masks(run),
        "targets": [
            {"id": target, "plugin": run.config["tasks"][target]["plugin"]}
            for target in targets(run, task)
        ],
        "cross_mask": (headline if headline in masks(run) else masks(run)[0]) if crossed else None,
        # Which sets a task has, beyond its own, depends on the masks of all that are trained.
        "sources": tasks(run) if sets != [_OWN] else [],
        "seed": run.settings["seed"],
        "minimum": run.settings["minimum_samples"],
        **{f.name: settings[f.name] for f in fields(Arms)},
        "sets": sets,
        **place(run, model),
    }


def tabulate_enhancement(run: "Run") -> dict[str, Any]:
    return {"sigmas": {mask: run.config["masks"][mask]["sigma"] for mask in masks(run)},
            "seed": run.settings["seed"]}  # fmt: skip


def tabulate_cross_enhancement(run: "Run") -> dict[str, Any]:
    plugins = {task: run.config["tasks"][task] for task in run.settings["tasks"]}
    kinds = {
        task: {"plugin": entry["plugin"], "capability": entry.get("capability")}
        for task, entry in plugins.items()
    }
    return {"tasks": kinds, "seed": run.settings["seed"]}


# Every task of the run is tested, or asked for its capability.
EXECUTED = dict.fromkeys(
    ("enhance_task", "tabulate_cross_enhancement"),
    lambda run, **_: run.task_plugins(*run.settings["tasks"]),
)
