"""Settings and files of the stages about planted models: one function a stage, named like it.

Their wildcards are plant (an id of ``experiments.known_answer.plants``), seed and task (a planted
capability); extent says which of the grids of plants and seeds a table covers.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from caploc import plugins

if TYPE_CHECKING:
    from caploc.jobs.run import Run

__all__ = ["EXTENTS", "known_answer_parts", "known_answer_tasks", "planted_plugins"]

EXTENTS = {"known_answer": "quick", "known_answer_full": "full", "known_answer_tried": "tried"}


def _settings(run: "Run") -> dict[str, Any]:
    return run.config["experiments"]["known_answer"]


def _plant(run: "Run", plant: str) -> dict[str, Any]:
    return _settings(run)["plants"][plant]


def known_answer_tasks(run: "Run") -> list[str]:
    """Ids of the tasks that planted models are tested with."""
    return list(_settings(run)["tasks"])


def planted_plugins(run: "Run") -> list[str]:
    """Task plug-ins that planted models are trained on."""
    return list(run.config["models"][_settings(run)["model"]]["train"]["mixture"])


def other_task(run: "Run", plant: str, task: str) -> str:
    """A planted capability that stands beside this one, or another task of the run."""
    beside = [*_plant(run, plant)["capabilities"], *known_answer_tasks(run)]
    return next(name for name in beside if name != task)


def known_answer_parts(run: "Run", extent: str) -> list[str]:
    """Parts of a table: rankings, then checks in which nothing should be found.

    Settings that are only tried are ranked without these checks, half of the time of a plant.
    """
    checks = () if extent == "known_answer_tried" else ("null",)
    grid = _settings(run)[EXTENTS[extent]]
    return [
        str(run.root / "known-answer" / plant / str(seed) / task / f"{part}.parquet")
        for part in ("ranking", *checks)
        for plant in grid["plants"]
        for seed in grid["seeds"]
        for task in _plant(run, plant)["capabilities"]
    ]


def plant_model(run: "Run", plant: str, seed: str) -> dict[str, Any]:
    entry, planting = run.config["models"][_settings(run)["model"]], _plant(run, plant)
    train = {key: value for key, value in entry["train"].items() if key != "seed"}
    return {
        "plant": plant,
        "seed": int(seed),
        "architecture": entry["architecture"],
        "train": train,
        "planting": planting,
        "plugins": {name: run.config["tasks"][name]["plugin"] for name in planting["capabilities"]},
    }


def check_plant(run: "Run", plant: str, seed: str) -> dict[str, Any]:
    settings = _settings(run)
    return {"plant": plant, "seed": int(seed), "tasks": settings["tasks"]} | settings["surgery"]


def measure_effects(run: "Run", plant: str, seed: str, task: str) -> dict[str, Any]:
    effects = {k: v for k, v in _settings(run)["effects"].items() if k != "least"}
    return _named(plant, seed, task) | effects | {"batch_tokens": _settings(run)["batch_tokens"]}


def score_plant(run: "Run", plant: str, seed: str, task: str) -> dict[str, Any]:
    settings = _settings(run)
    return _named(plant, seed, task) | {
        "tasks": [name for name in settings["tasks"] if name != task],
        "neutral": run.settings["neutral"] is not None,
        # A list of pairs would lose nothing either: the order of locators decides nothing.
        "locators": settings["locators"],
        "samples": settings["samples"],
        "curve": settings["curve"],
    }


def rank_plant(run: "Run", plant: str, seed: str, task: str) -> dict[str, Any]:
    settings = _settings(run)
    return _named(plant, seed, task) | {
        "sigmas": settings["sigmas"],
        "variants": settings["variants"],
        "least_effect": settings["effects"]["least"],
    }


def check_null(run: "Run", plant: str, seed: str, task: str) -> dict[str, Any]:
    settings = _settings(run)
    named = _named(plant, seed, task) | {"other": other_task(run, plant, task)}
    return named | settings["nothing"] | {"batch_tokens": settings["batch_tokens"]}


def tabulate_known_answer(run: "Run", extent: str) -> dict[str, Any]:
    return {}


def write_known_answer(run: "Run", extent: str) -> dict[str, Any]:
    return {}


def _named(plant: str, seed: str, task: str) -> dict[str, Any]:
    return {"plant": plant, "seed": int(seed), "task": task}


def _tested(run: "Run") -> list[str]:
    """Modules of the locators under test."""
    names = sorted({entry["locator"] for entry in _settings(run)["locators"].values()})
    return [plugins.module_name("locators", name) for name in names]


def _llama(run: "Run", **_: str) -> list[str]:
    return [plugins.module_name("families", "llama")]


# A planted model is of the family llama.
EXECUTED = {
    "plant_model": lambda run, **_: (
        _llama(run) + [plugins.module_name("tasks", name) for name in planted_plugins(run)]
    ),
    "score_plant": lambda run, **_: _llama(run) + _tested(run),
} | dict.fromkeys(("check_plant", "measure_effects", "check_null"), _llama)
_REPORT = Path(__file__).parents[2] / "report"
FILES = {
    "write_known_answer": [
        Path(__file__).with_name("page.html.jinja"),
        *(_REPORT / name for name in ("frame.html.jinja", "page.css")),
    ]
}
