"""Settings of the stages that validate locators of single facts: one function a stage."""

from typing import TYPE_CHECKING, Any

from caploc.plan.facts import located_shards
from caploc.plan.spine import place

if TYPE_CHECKING:
    from caploc.plan import Plan

__all__ = ["ablated_shards", "ablation_inputs", "reliability_parts", "texts"]


def _settings(plan: "Plan") -> dict[str, Any]:
    return plan.config["experiments"]["reliability"]


def _named(plan: "Plan", model: str, facts: str) -> dict[str, Any]:
    return {"model": model, "facts": facts, "seed": plan.run["seed"]}


def texts(plan: "Plan") -> list[str]:
    """Samples for the second moments of keys: neutral text, or all tasks where there is none."""
    tasks = [plan.run["neutral"]] if plan.run["neutral"] is not None else plan.run["tasks"]
    return [
        str(plan.root / "samples" / task / f"{split}.parquet")
        for task in tasks
        for split in ("locate", "train")
    ]


def reliability_parts(plan: "Plan") -> list[str]:
    """Parts of the table `reliability`."""
    return [
        str(plan.root / "reliability" / model / facts / f"{part}.parquet")
        for model in plan.run["models"]
        for facts in _settings(plan)["facts"]
        for part in ("part", "shared")
    ]


def ablated_shards(plan: "Plan", model: str, facts: str) -> list[str]:
    """Files of ablated units; shards have the facts of those of the locators."""
    folder = plan.root / "reliability" / model / facts / "ablated"
    n = len(located_shards(plan, model, facts, "kn"))
    return [str(folder / f"shard-{i:04d}.parquet") for i in range(n)]


def ablation_inputs(plan: "Plan", model: str, facts: str, shard: str) -> dict[str, list[str]]:
    """Located sets and neutral text that the units of a shard are ranked and tested with."""
    neutral = plan.run["neutral"]
    texts = [] if neutral is None else [str(plan.root / "samples" / neutral / "test.parquet")]
    own = {
        locator: [located_shards(plan, model, facts, locator)[int(shard)]]
        for locator in ("rome", "circuit")
    }
    return own | {"kn": located_shards(plan, model, facts, "kn"), "neutral": texts}


def sum_keys(plan: "Plan", model: str) -> dict[str, Any]:
    rome = _settings(plan)["rome"]
    return {"model": model, "texts": rome["texts"], "memory_mb": rome["memory_mb"]} | place(
        plan, model
    )


def validate_kn(plan: "Plan", model: str, facts: str) -> dict[str, Any]:
    return _named(plan, model, facts) | {"draws": _settings(plan)["draws"]} | place(plan, model)


def validate_circuit(plan: "Plan", model: str, facts: str) -> dict[str, Any]:
    settings = _settings(plan)
    named = _named(plan, model, facts) | {"draws": settings["draws"]} | place(plan, model)
    return named | {key: settings["circuit"][key] for key in ("ablation", "shares")}


def edit_facts(plan: "Plan", model: str, facts: str) -> dict[str, Any]:
    rome = {
        k: v for k, v in _settings(plan)["rome"].items() if k not in ("texts", "memory_mb", "layer")
    }
    return _named(plan, model, facts) | rome | place(plan, model)


def ablate_units(plan: "Plan", model: str, facts: str, shard: str) -> dict[str, Any]:
    size = plan.config["experiments"]["fidelity"]["shard_size"]
    named = _named(plan, model, facts) | place(plan, model) | _settings(plan)["shared"]
    return named | {"shard": int(shard), "shard_size": size}


def measure_ablation(plan: "Plan", model: str, facts: str) -> dict[str, Any]:
    settings = _settings(plan)
    found = _named(plan, model, facts) | {"minimum": settings["minimum"]}
    return found | {"draws": settings["shared"]["draws"]}


def measure_reliability(plan: "Plan", model: str, facts: str) -> dict[str, Any]:
    settings = _settings(plan)
    found = _named(plan, model, facts) | {"minimum": settings["minimum"]}
    return found | {"layer": settings["rome"]["layer"]}


def tabulate_reliability(plan: "Plan") -> dict[str, Any]:
    return {}
