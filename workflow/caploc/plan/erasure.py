"""Settings and files of the stages that silence neurons: one function a stage, named like it."""

from typing import TYPE_CHECKING, Any

from caploc.plan.spine import place

if TYPE_CHECKING:
    from caploc.plan import Plan

# Keys of experiments.erasure that the stages read, by stage.
_ERASE = (
    "samples", "draws", "exploratory_draws", "answered", "answered_draws", "answered_rows", "modes",
    "locators", "dose", "dose_draws", "shots", "batch_tokens",
)  # fmt: skip
_CROSS = ("samples", "draws", "batch_tokens")


def _settings(plan: "Plan", experiment: str) -> dict[str, Any]:
    return plan.config["experiments"][experiment]


def weigh_neurons(plan: "Plan", model: str) -> dict[str, Any]:
    return {
        "model": model,
        "tasks": plan.run["tasks"],
        "neutral": plan.run["neutral"],
        "samples": _settings(plan, "erasure")["weighing_samples"],
    } | place(plan, model)


def erase_neurons(plan: "Plan", model: str, task: str, method: str) -> dict[str, Any]:
    settings = _settings(plan, "erasure")
    return {
        "model": model,
        "task": task,
        "plugin": plan.config["tasks"][task]["plugin"],
        "labels": plan.config["tasks"][task].get("labels"),
        "method": method,
        "masks": plan.run["masks"],
        "headline": plan.run["headline_mask"],
        "neutral": plan.run["neutral"],
        "seed": plan.run["seed"],
    } | {key: settings[key] for key in _ERASE} | place(plan, model)  # fmt: skip


def tabulate_erasure(plan: "Plan") -> dict[str, Any]:
    return {
        "headline": plan.run["headline_mask"],
        "seed": plan.run["seed"],
        "minimum_samples": plan.run["minimum_samples"],
        "sigmas": {mask: plan.config["masks"][mask]["sigma"] for mask in plan.run["masks"]},
    }


def erasure_parts(plan: "Plan", part: str) -> list[str]:
    """Files of every model, task and method, in one order for all parts."""
    return [
        str(plan.root / "erasure" / model / task / method / f"{part}.parquet")
        for model in plan.run["models"]
        for method in plan.run["methods"]
        for task in plan.run["tasks"]
    ]


def cross_erase(plan: "Plan", model: str, task: str, method: str) -> dict[str, Any]:
    settings = _settings(plan, "cross_erasure")
    return {
        "model": model,
        "task": task,
        "method": method,
        "tasks": plan.run["tasks"],
        "mask": plan.run["headline_mask"],
        "seed": plan.run["seed"],
    } | {key: settings[key] for key in _CROSS} | place(plan, model)  # fmt: skip


def tabulate_cross_overlap(plan: "Plan") -> dict[str, Any]:
    mask = plan.run["headline_mask"]
    return {
        # A list, because the keys of a spec are sorted.
        "tasks": [
            {"id": task}
            | {key: plan.config["tasks"][task].get(key) for key in ("plugin", "capability")}
            for task in plan.run["tasks"]
        ],
        "mask": mask,
        "sigma": plan.config["masks"][mask]["sigma"],
        "seed": plan.run["seed"],
    }


def tabulate_cross_erasure(plan: "Plan") -> dict[str, Any]:
    return tabulate_cross_overlap(plan) | {"minimum_samples": plan.run["minimum_samples"]}


def crossed_parts(plan: "Plan") -> list[str]:
    """Files of the crossed data sets: every model, method and task."""
    return [
        str(plan.root / "crossing" / model / task / f"{method}.parquet")
        for model in plan.run["models"]
        for method in plan.run["methods"]
        for task in plan.run["tasks"]
    ]
