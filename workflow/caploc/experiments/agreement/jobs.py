"""Files and settings of the jobs of this experiment: one function a stage, named like it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from caploc.jobs.run import Run


def measure_agreement(run: "Run", model: str, task: str, method: str, mask: str) -> dict[str, Any]:
    arm = {"mixture": "mixture", run.settings["neutral"]: "neutral"}.get(task, "located")
    ids = {"model": model, "task": task, "method": method, "mask": mask}
    return ids | {"arm": arm, "rule": run.config["masks"][mask]}


def measure_overlap(run: "Run", model: str, method: str, mask: str) -> dict[str, Any]:
    ids = {"model": model, "method": method, "mask": mask, "tasks": run.settings["tasks"]}
    return ids | {"sigma": run.config["masks"][mask]["sigma"]}


def tabulate_agreement(run: "Run") -> dict[str, Any]:
    return {}
