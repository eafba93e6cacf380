"""Settings of the stages about facts: which locators find the same units for a rewritten prompt."""

import math
from typing import TYPE_CHECKING, Any

from caploc.plan.spine import memory

if TYPE_CHECKING:
    from caploc.plan import Plan

__all__ = ["located_shards", "parts", "task_shards", "traced"]

# Settings of `locate` of each locator; what else its config has says which units are located.
_LOCATE = {
    "kn": ("rule", "steps", "max_answer_tokens", "batch_rows"),
    "kn_activation": (),
    "rome": ("noise", "noise_samples", "window"),
    "circuit": ("rule", "steps"),
}
_NEURONS = ("kn", "kn_activation")


def _settings(plan: "Plan") -> dict[str, Any]:
    return plan.config["experiments"]["fidelity"]


def _root(plan: "Plan", *parts: str) -> str:
    return str(plan.root.joinpath(*parts))


def located_shards(plan: "Plan", model: str, facts: str, locator: str) -> list[str]:
    """Files of located sets of one locator."""
    n = math.ceil(plan.config["facts"][facts]["n"] / _settings(plan)["shard_size"])
    folder = ("located", model, facts, locator)
    return [_root(plan, *folder, f"shard-{i:04d}.parquet") for i in range(n)]


def task_shards(plan: "Plan", model: str) -> list[str]:
    """First attribution file of every task, by the first method of the run."""
    method = plan.run["methods"][0]
    return [plan.shards(model, task, method)[0] for task in plan.run["tasks"]]


def parts(plan: "Plan") -> list[str]:
    """Parts of the table `fidelity`."""
    settings = _settings(plan)
    of_facts = [
        _root(plan, "fidelity", model, facts, f"{locator}.parquet")
        for model in plan.run["models"]
        for facts in settings["facts"]
        for locator in settings["locators"]
    ]
    return of_facts + [_root(plan, "fidelity", m, "tasks.parquet") for m in plan.run["models"]]


def traced(plan: "Plan") -> dict[str, list[str]]:
    """Inputs of the table `tracing`: none where causal tracing does not run."""
    settings = _settings(plan)
    runs = "fidelity" in plan.run["experiments"] and "rome" in settings["locators"]
    pairs = [(m, f) for m in plan.run["models"] for f in settings["facts"]] if runs else []
    return {
        "prompts": [_root(plan, "facts", f, m, "prompts.parquet") for m, f in pairs],
        "located": [p for m, f in pairs for p in located_shards(plan, m, f, "rome")],
    }


def prepare_facts(plan: "Plan", facts: str) -> dict[str, Any]:
    entry = {k: v for k, v in plan.config["facts"][facts].items() if k != "title"}
    return entry | {"facts": facts, "seed": plan.run["seed"]}


def recall_facts(plan: "Plan", model: str, facts: str) -> dict[str, Any]:
    entry, settings = plan.config["models"][model], _settings(plan)
    return {
        "model": model,
        "facts": facts,
        "dtype": entry["dtype"],
        "device": entry["device"],
        "seed": plan.run["seed"],
    } | {key: settings[key] for key in ("rewrites", "refine_prompts", "own_rewrites")}


def locate_facts(plan: "Plan", model: str, facts: str, locator: str, shard: str) -> dict[str, Any]:
    entry, settings = plan.config["models"][model], _settings(plan)
    own = settings[locator]
    return {
        "model": model,
        "facts": facts,
        "locator": locator,
        "locate": {k: v for k, v in own.items() if k in _LOCATE[locator]}
        | (memory(plan, model) if locator == "kn" else {}),
        "choose": {k: v for k, v in own.items() if k not in (*_LOCATE[locator], "share")},
        "rewrites": settings["rewrites"],
        "prompts": settings["refine_prompts"] if locator == "kn" else 1,
        "shard": int(shard),
        "shard_size": settings["shard_size"],
        "dtype": entry["dtype"],
        "device": entry["device"],
        "seed": plan.run["seed"],
    }


def measure_fidelity(plan: "Plan", model: str, facts: str, locator: str) -> dict[str, Any]:
    settings = _settings(plan)
    found = {"model": model, "facts": facts, "locator": locator, "seed": plan.run["seed"]}
    found |= {key: settings[key] for key in ("rewrites", "partners", "n_draws", "minimum")}
    if locator in _NEURONS:
        found["ratio"] = settings[locator]["ratio"]
        found["masks"] = {name: plan.config["masks"][name] for name in plan.run["masks"]}
    if locator == "kn":
        found["share"] = settings["kn"]["share"]
    return found


def measure_kn_on_tasks(plan: "Plan", model: str) -> dict[str, Any]:
    settings = _settings(plan)
    return {
        "model": model,
        "method": plan.run["methods"][0],
        "tasks": plan.run["tasks"],
        "ratio": settings["kn"]["ratio"],
        "samples": settings["task_samples"],
        "seed": plan.run["seed"],
    } | {key: settings[key] for key in ("partners", "n_draws", "minimum")}


def tabulate_fidelity(plan: "Plan") -> dict[str, Any]:
    return {}


def tabulate_tracing(plan: "Plan") -> dict[str, Any]:
    return {"shown": 3, "minimum": _settings(plan)["minimum"], "seed": plan.run["seed"]}
