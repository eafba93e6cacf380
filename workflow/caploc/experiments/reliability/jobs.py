"""Settings of the stages that validate locators of single facts: one function a stage."""

from typing import TYPE_CHECKING, Any

from caploc import locator_settings, plugins
from caploc.stages.jobs import located_shards, place

if TYPE_CHECKING:
    from caploc.jobs.run import Run

__all__ = ["ablated_shards", "ablation_inputs", "reliability_parts", "texts"]


def _settings(run: "Run") -> dict[str, Any]:
    return run.config["experiments"]["reliability"]


def _named(run: "Run", model: str, facts: str) -> dict[str, Any]:
    return {"model": model, "facts": facts, "seed": run.settings["seed"]}


def texts(run: "Run") -> list[str]:
    """Samples for the second moments of keys: neutral text, or all tasks where there is none."""
    tasks = (
        [run.settings["neutral"]] if run.settings["neutral"] is not None else run.settings["tasks"]
    )
    return [
        str(run.root / "samples" / task / f"{split}.parquet")
        for task in tasks
        for split in ("locate", "train")
    ]


def reliability_parts(run: "Run") -> list[str]:
    """Parts of the table `reliability`."""
    return [
        str(run.root / "reliability" / model / facts / f"{part}.parquet")
        for model in run.settings["models"]
        for facts in _settings(run)["facts"]
        for part in ("part", "shared")
    ]


def ablated_shards(run: "Run", model: str, facts: str) -> list[str]:
    """Files of ablated units; shards have the facts of those of the locators."""
    folder = run.root / "reliability" / model / facts / "ablated"
    n = len(located_shards(run, model, facts, "kn"))
    return [str(folder / f"shard-{i:04d}.parquet") for i in range(n)]


def ablation_inputs(run: "Run", model: str, facts: str, shard: str) -> dict[str, list[str]]:
    """Located sets and neutral text that the units of a shard are ranked and tested with."""
    neutral = run.settings["neutral"]
    texts = [] if neutral is None else [str(run.root / "samples" / neutral / "test.parquet")]
    ranked = _settings(run)["shared"]["locators"]
    own = {name: [located_shards(run, model, facts, name)[int(shard)]] for name in ranked}
    neurons = [n for n in ranked if locator_settings.unit(n) == locator_settings.NEURON][:1]
    means = [path for name in neurons for path in located_shards(run, model, facts, name)]
    return own | {"means": means, "neutral": texts}


def sum_keys(run: "Run", model: str) -> dict[str, Any]:
    rome = _settings(run)["rome"]
    return {"model": model, "texts": rome["texts"], "memory_mb": rome["memory_mb"]} | place(
        run, model
    )


def validate_kn(run: "Run", model: str, facts: str) -> dict[str, Any]:
    return _named(run, model, facts) | {"draws": _settings(run)["draws"]} | place(run, model)


def validate_circuit(run: "Run", model: str, facts: str) -> dict[str, Any]:
    settings = _settings(run)
    named = _named(run, model, facts) | {"draws": settings["draws"]} | place(run, model)
    return named | {key: settings["circuit"][key] for key in ("ablation", "shares")}


def edit_facts(run: "Run", model: str, facts: str) -> dict[str, Any]:
    rome = {k: v for k, v in _settings(run)["rome"].items() if k not in ("texts", "memory_mb")}
    # Where every layer is edited, which one counts as located is asked later.
    rome["layer"] = rome["layer"] if rome["edited_layers"] is not None else None
    return _named(run, model, facts) | rome | place(run, model)


def ablate_units(run: "Run", model: str, facts: str, shard: str) -> dict[str, Any]:
    size = run.config["experiments"]["fidelity"]["shard_size"]
    named = _named(run, model, facts) | place(run, model) | _settings(run)["shared"]
    return named | {"shard": int(shard), "shard_size": size}


def measure_ablation(run: "Run", model: str, facts: str) -> dict[str, Any]:
    settings = _settings(run)
    found = _named(run, model, facts) | {"minimum": settings["minimum"]}
    return found | {"draws": settings["shared"]["draws"]}


def measure_reliability(run: "Run", model: str, facts: str) -> dict[str, Any]:
    settings = _settings(run)
    found = _named(run, model, facts) | {"minimum": settings["minimum"]}
    return found | {"layer": settings["rome"]["layer"]}


EXECUTED = {
    "ablate_units": lambda run, **_: [
        plugins.module_name("locators", name) for name in _settings(run)["shared"]["locators"]
    ]
}
