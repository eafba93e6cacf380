"""Settings of the stages about paired samples: one function a stage, named like it."""

import math
from typing import TYPE_CHECKING, Any

from caploc.plan.spine import memory, place

if TYPE_CHECKING:
    from caploc.plan import Plan

__all__ = ["decoupling_parts", "pair_shards"]


def _settings(plan: "Plan") -> dict[str, Any]:
    return plan.config["experiments"]["decoupling"]


def pair_shards(plan: "Plan", model: str, pairs: str) -> list[str]:
    """Files of the located sets of one family of pairs."""
    n = math.ceil(_settings(plan)["pairs"] / _settings(plan)["shard_size"])
    folder = plan.root / "pairs" / pairs / model
    return [str(folder / f"shard-{i:04d}.parquet") for i in range(n)]


def decoupling_parts(plan: "Plan") -> list[str]:
    """Parts of the table `decoupling`."""
    return [
        str(plan.root / "decoupling" / model / f"{pairs}.parquet")
        for model in plan.run["models"]
        for pairs in _settings(plan)["families"]
    ]


def prepare_pairs(plan: "Plan", pairs: str) -> dict[str, Any]:
    return {"pairs": pairs, "n": _settings(plan)["pairs"], "seed": plan.run["seed"]}


def locate_pairs(plan: "Plan", model: str, pairs: str, shard: str) -> dict[str, Any]:
    settings = _settings(plan)
    return {
        "model": model,
        "pairs": pairs,
        "shard": int(shard),
        "shard_size": settings["shard_size"],
        "kn": settings["kn"] | memory(plan, model),
        "seed": plan.run["seed"],
    } | place(plan, model)


def measure_decoupling(plan: "Plan", model: str, pairs: str) -> dict[str, Any]:
    settings = _settings(plan)
    named = {"model": model, "pairs": pairs, "seed": plan.run["seed"]}
    keys = ("shares", "draws", "orders", "minimum")
    return named | {key: settings[key] for key in keys} | {"ratio": settings["kn"]["ratio"]}


def tabulate_decoupling(plan: "Plan") -> dict[str, Any]:
    return {}
