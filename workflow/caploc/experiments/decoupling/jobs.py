"""Settings of the stages about paired samples: one function a stage, named like it."""

import math
from typing import TYPE_CHECKING, Any

from caploc import plugins
from caploc.stages.jobs import memory, place

if TYPE_CHECKING:
    from caploc.jobs.run import Run

__all__ = ["decoupling_parts", "page_inputs", "pair_shards"]


def _settings(run: "Run") -> dict[str, Any]:
    return run.config["experiments"]["decoupling"]


def pair_shards(run: "Run", model: str, pairs: str) -> list[str]:
    """Files of the located sets of one family of pairs."""
    n = math.ceil(_settings(run)["pairs"] / _settings(run)["shard_size"])
    folder = run.root / "pairs" / pairs / model
    return [str(folder / f"shard-{i:04d}.parquet") for i in range(n)]


def decoupling_parts(run: "Run") -> list[str]:
    """Parts of the table `decoupling`."""
    return [
        str(run.root / "decoupling" / model / f"{pairs}.parquet")
        for model in run.settings["models"]
        for pairs in _settings(run)["families"]
    ]


def page_inputs(run: "Run") -> dict[str, str]:
    """Files of the worked example: first model, first family of pairs."""
    if "decoupling" not in run.settings["experiments"]:
        return {}
    family = _settings(run)["families"][0]
    return {
        "pair_samples": str(run.root / "pairs" / family / "samples.parquet"),
        "pair_sets": pair_shards(run, run.settings["models"][0], family)[0],
    }


def prepare_pairs(run: "Run", pairs: str) -> dict[str, Any]:
    return {"pairs": pairs, "n": _settings(run)["pairs"], "seed": run.settings["seed"]}


def locate_pairs(run: "Run", model: str, pairs: str, shard: str) -> dict[str, Any]:
    settings = _settings(run)
    return {
        "model": model,
        "pairs": pairs,
        "shard": int(shard),
        "shard_size": settings["shard_size"],
        "kn": settings["kn"] | memory(run, model),
        "seed": run.settings["seed"],
    } | place(run, model)


def measure_decoupling(run: "Run", model: str, pairs: str) -> dict[str, Any]:
    settings = _settings(run)
    named = {"model": model, "pairs": pairs, "seed": run.settings["seed"]}
    keys = ("shares", "draws", "orders", "minimum")
    return named | {key: settings[key] for key in keys} | {"ratio": settings["kn"]["ratio"]}


EXECUTED = {"prepare_pairs": lambda run, pairs: [plugins.module_name("tasks", pairs)]}
