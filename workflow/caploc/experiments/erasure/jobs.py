"""Settings and files of the stages that silence neurons: one function a stage, named like it."""

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from caploc import plugins
from caploc.experiments.erasure.settings import Silencing
from caploc.stages.jobs import place

if TYPE_CHECKING:
    from caploc.jobs.run import Run


_QUESTIONS = 5
"""Of a task in the table `examples`."""


def _settings(run: "Run", experiment: str) -> dict[str, Any]:
    return run.config["experiments"][experiment]


def _weighing(run: "Run") -> list[str]:
    """Ids of locators: controls are matched by the first, the others stand beside the masks."""
    return list(dict.fromkeys(("activation-size", *_settings(run, "erasure")["locators"])))


def weigh_neurons(run: "Run", model: str) -> dict[str, Any]:
    return {
        "model": model,
        "tasks": run.settings["tasks"],
        "neutral": run.settings["neutral"],
        "samples": _settings(run, "erasure")["weighing_samples"],
        "locators": _weighing(run),
        "seed": run.settings["seed"],
    } | place(run, model)


def erase_neurons(run: "Run", model: str, task: str, method: str) -> dict[str, Any]:
    settings = _settings(run, "erasure")
    return {
        "model": model,
        "task": task,
        "plugin": run.config["tasks"][task]["plugin"],
        "labels": run.config["tasks"][task].get("labels"),
        "method": method,
        "masks": run.settings["masks"],
        "headline": run.settings["headline_mask"],
        "neutral": run.settings["neutral"],
        "seed": run.settings["seed"],
    } | {f.name: settings[f.name] for f in fields(Silencing)} | place(run, model)  # fmt: skip


def tabulate_erasure(run: "Run") -> dict[str, Any]:
    return {
        "headline": run.settings["headline_mask"],
        "seed": run.settings["seed"],
        "minimum_samples": run.settings["minimum_samples"],
        "sigmas": {mask: run.config["masks"][mask]["sigma"] for mask in run.settings["masks"]},
    }


def tabulate_examples(run: "Run") -> dict[str, Any]:
    return {"headline": run.settings["headline_mask"], "questions": _QUESTIONS}


def erasure_parts(run: "Run", part: str) -> list[str]:
    """Files of every model, task and method, in one order for all parts."""
    return [
        str(run.root / "erasure" / model / task / method / f"{part}.parquet")
        for model in run.settings["models"]
        for method in run.settings["methods"]
        for task in run.settings["tasks"]
    ]


def cross_erase(run: "Run", model: str, task: str, method: str) -> dict[str, Any]:
    return {
        "model": model,
        "task": task,
        "method": method,
        "tasks": run.settings["tasks"],
        "mask": run.settings["headline_mask"],
        "seed": run.settings["seed"],
    } | _settings(run, "cross_erasure") | place(run, model)  # fmt: skip


def tabulate_cross_overlap(run: "Run") -> dict[str, Any]:
    mask = run.settings["headline_mask"]
    return {
        # A list, because the keys of a spec are sorted.
        "tasks": [
            {"id": task}
            | {key: run.config["tasks"][task].get(key) for key in ("plugin", "capability")}
            for task in run.settings["tasks"]
        ],
        "mask": mask,
        "sigma": run.config["masks"][mask]["sigma"],
        "seed": run.settings["seed"],
    }


def tabulate_cross_erasure(run: "Run") -> dict[str, Any]:
    return tabulate_cross_overlap(run) | {"minimum_samples": run.settings["minimum_samples"]}


def crossed_parts(run: "Run") -> list[str]:
    """Files of the crossed data sets: every model, method and task."""
    return [
        str(run.root / "crossing" / model / task / f"{method}.parquet")
        for model in run.settings["models"]
        for method in run.settings["methods"]
        for task in run.settings["tasks"]
    ]


def _every_task(run: "Run") -> list[str]:
    return run.task_plugins(*run.settings["tasks"])


EXECUTED = {
    "weigh_neurons": lambda run, model: [
        plugins.module_name("locators", name.replace("-", "_")) for name in _weighing(run)
    ],
    "erase_neurons": lambda run, model, task, method: run.task_plugins(task),
    "tabulate_cross_erasure": _every_task,
    "tabulate_cross_overlap": _every_task,
}
