"""Settings of the stages of the enhancement experiment: one function a stage, named like it."""

from typing import TYPE_CHECKING, Any

from caploc.plan.spine import place

if TYPE_CHECKING:
    from caploc.plan import Plan

_NAME = "enhancement"
_OWN = "own"
_ARMS = ("arms", "draws", "seeds", "part", "epochs", "batch", "rates", "train_samples",
         "test_samples")  # fmt: skip


def tasks(plan: "Plan") -> list[str]:
    """Ids of the tasks that are trained on."""
    return _among(plan.run["tasks"], plan.config["experiments"][_NAME]["tasks"])


def masks(plan: "Plan") -> list[str]:
    """Ids of the masks whose neurons train."""
    return _among(plan.run["masks"], plan.config["experiments"][_NAME]["masks"])


def _among(ids: list[str], wanted: list[str]) -> list[str]:
    """Those of a run that are wanted; all of them where the run has none of the wanted ones."""
    return [name for name in ids if name in wanted] or ids


def targets(plan: "Plan", task: str) -> list[str]:
    """Ids of the tasks that are tested after training on one, itself first."""
    if not plan.config["experiments"][_NAME]["cross"]:
        return [task]
    return [task, *(other for other in plan.run["tasks"] if other != task)]


def all_enhanced(plan: "Plan") -> list[str]:
    """Answers of every model, trained task and method."""
    folder = plan.root / "enhancement"
    return [
        str(folder / model / task / f"{method}.parquet")
        for model in plan.run["models"]
        for task in tasks(plan)
        for method in plan.run["methods"]
    ]


def enhancement_inputs(plan: "Plan", model: str, task: str, method: str) -> dict[str, list[str]]:
    """Masks and test samples that one job reads."""

    def mask_of(task: str, mask: str | None) -> str:
        return str(plan.root / "masks" / model / task / method / f"{mask}.parquet")

    told = enhance_task(plan, model, task, method)
    return {
        "masks": [mask_of(task, mask) for mask in masks(plan)],
        "crossing": [mask_of(source, told["cross_mask"]) for source in told["sources"]],
        "tests": [
            str(plan.root / "samples" / target / "test.parquet") for target in targets(plan, task)
        ],
    }


def enhance_task(plan: "Plan", model: str, task: str, method: str) -> dict[str, Any]:
    settings = plan.config["experiments"][_NAME]
    crossed = len(targets(plan, task)) > 1
    headline = plan.run["headline_mask"]
    sets = settings["sets"] if crossed else [_OWN]
    return {
        "model": model,
        "task": task,
        "method": method,
        "masks": masks(plan),
        "targets": [
            {"id": target, "plugin": plan.config["tasks"][target]["plugin"]}
            for target in targets(plan, task)
        ],
        "cross_mask": (headline if headline in masks(plan) else masks(plan)[0])
        if crossed
        else None,
        "sets": sets,
        # Which sets a task has, beyond its own, depends on the masks of all that are trained.
        "sources": tasks(plan) if sets != [_OWN] else [],
        "seed": plan.run["seed"],
        "minimum": plan.run["minimum_samples"],
        **{key: settings[key] for key in _ARMS},
        **place(plan, model),
    }


def tabulate_enhancement(plan: "Plan") -> dict[str, Any]:
    return {"sigmas": {mask: plan.config["masks"][mask]["sigma"] for mask in masks(plan)},
            "seed": plan.run["seed"]}  # fmt: skip


def tabulate_cross_enhancement(plan: "Plan") -> dict[str, Any]:
    plugins = {task: plan.config["tasks"][task] for task in plan.run["tasks"]}
    kinds = {
        task: {"plugin": entry["plugin"], "capability": entry.get("capability")}
        for task, entry in plugins.items()
    }
    return {"tasks": kinds, "seed": plan.run["seed"]}
