"""Settings and files of the stages about planted models: one function a stage, named like it.

Their wildcards are plant (an id of ``experiments.known_answer.plants``), seed and task (a planted
capability); extent says which of the grids of plants and seeds a table covers.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from caploc.plan import Plan

__all__ = ["EXTENTS", "candidates", "known_answer_parts", "known_answer_tasks", "planted_plugins"]

EXTENTS = {"known_answer": "quick", "known_answer_full": "full", "known_answer_tried": "tried"}


def _settings(plan: "Plan") -> dict[str, Any]:
    return plan.config["experiments"]["known_answer"]


def _plant(plan: "Plan", plant: str) -> dict[str, Any]:
    return _settings(plan)["plants"][plant]


def known_answer_tasks(plan: "Plan") -> list[str]:
    """Ids of the tasks that planted models are tested with."""
    return list(_settings(plan)["tasks"])


def planted_plugins(plan: "Plan") -> list[str]:
    """Task plug-ins that planted models are trained on."""
    return list(plan.config["models"][_settings(plan)["model"]]["train"]["mixture"])


def candidates(plan: "Plan") -> list[str]:
    """Plug-ins of the locators under test."""
    return sorted({entry["candidate"] for entry in _settings(plan)["locators"].values()})


def other_task(plan: "Plan", plant: str, task: str) -> str:
    """A planted capability that stands beside this one, or another task of the run."""
    beside = [*_plant(plan, plant)["capabilities"], *known_answer_tasks(plan)]
    return next(name for name in beside if name != task)


def known_answer_parts(plan: "Plan", extent: str) -> list[str]:
    """Parts of a table: rankings, then checks in which nothing should be found.

    Settings that are only tried are ranked without these checks, half of the time of a plant.
    """
    checks = () if extent == "known_answer_tried" else ("null",)
    grid = _settings(plan)[EXTENTS[extent]]
    return [
        str(plan.root / "known-answer" / plant / str(seed) / task / f"{part}.parquet")
        for part in ("ranking", *checks)
        for plant in grid["plants"]
        for seed in grid["seeds"]
        for task in _plant(plan, plant)["capabilities"]
    ]


def plant_model(plan: "Plan", plant: str, seed: str) -> dict[str, Any]:
    entry, planting = plan.config["models"][_settings(plan)["model"]], _plant(plan, plant)
    train = {key: value for key, value in entry["train"].items() if key != "seed"}
    return {
        "plant": plant,
        "seed": int(seed),
        "architecture": entry["architecture"],
        "train": train,
        "planting": planting,
        "plugins": {
            name: plan.config["tasks"][name]["plugin"] for name in planting["capabilities"]
        },
    }


def check_plant(plan: "Plan", plant: str, seed: str) -> dict[str, Any]:
    settings = _settings(plan)
    return {"plant": plant, "seed": int(seed), "tasks": settings["tasks"]} | settings["surgery"]


def measure_effects(plan: "Plan", plant: str, seed: str, task: str) -> dict[str, Any]:
    effects = {k: v for k, v in _settings(plan)["effects"].items() if k != "least"}
    return _named(plant, seed, task) | effects | {"batch_tokens": _settings(plan)["batch_tokens"]}


def score_plant(plan: "Plan", plant: str, seed: str, task: str) -> dict[str, Any]:
    settings = _settings(plan)
    return _named(plant, seed, task) | {
        "tasks": [name for name in settings["tasks"] if name != task],
        "neutral": plan.run["neutral"] is not None,
        # A list of pairs would lose nothing either: the order of locators decides nothing.
        "locators": settings["locators"],
        "samples": settings["samples"],
        "curve": settings["curve"],
    }


def rank_plant(plan: "Plan", plant: str, seed: str, task: str) -> dict[str, Any]:
    settings = _settings(plan)
    return _named(plant, seed, task) | {
        "sigmas": settings["sigmas"],
        "variants": settings["variants"],
        "least_effect": settings["effects"]["least"],
    }


def check_null(plan: "Plan", plant: str, seed: str, task: str) -> dict[str, Any]:
    settings = _settings(plan)
    named = _named(plant, seed, task) | {"other": other_task(plan, plant, task)}
    return named | settings["nothing"] | {"batch_tokens": settings["batch_tokens"]}


def tabulate_known_answer(plan: "Plan", extent: str) -> dict[str, Any]:
    return {}


def write_known_answer(plan: "Plan", extent: str) -> dict[str, Any]:
    return {"title": "Known answer: do the locators find what is there?"}


def _named(plant: str, seed: str, task: str) -> dict[str, Any]:
    return {"plant": plant, "seed": int(seed), "task": task}
