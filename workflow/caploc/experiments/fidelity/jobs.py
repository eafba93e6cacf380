"""Files and settings of the jobs of this experiment: one function a stage, named like it."""

from typing import TYPE_CHECKING, Any

from caploc import locator_settings
from caploc.stages.jobs import located_shards

if TYPE_CHECKING:
    from caploc.jobs.run import Run

__all__ = ["page_inputs", "parts", "task_shards", "traced"]


def _settings(run: "Run") -> dict[str, Any]:
    return run.config["experiments"]["fidelity"]


def _root(run: "Run", *parts: str) -> str:
    return str(run.root.joinpath(*parts))


def task_shards(run: "Run", model: str) -> list[str]:
    """First attribution file of every task, by the first method of the run."""
    method = run.settings["methods"][0]
    return [run.shards(model, task, method)[0] for task in run.settings["tasks"]]


def parts(run: "Run") -> list[str]:
    """Parts of the table `fidelity`."""
    settings = _settings(run)
    of_facts = [
        _root(run, "fidelity", model, facts, f"{locator}.parquet")
        for model in run.settings["models"]
        for facts in settings["facts"]
        for locator in settings["locators"]
    ]
    return of_facts + [_root(run, "fidelity", m, "tasks.parquet") for m in run.settings["models"]]


def traced(run: "Run") -> dict[str, list[str]]:
    """Inputs of the table `tracing`: of the first locator that keeps maps, if any does."""
    settings = _settings(run)
    mapping = [n for n in settings["locators"] if locator_settings.offers(n, "token_map")][:1]
    runs = "fidelity" in run.settings["experiments"] and mapping
    pairs = [(m, f) for m in run.settings["models"] for f in settings["facts"]] if runs else []
    return {
        "prompts": [_root(run, "facts", f, m, "prompts.parquet") for m, f in pairs],
        "located": [p for m, f in pairs for p in located_shards(run, m, f, *mapping)],
    }


def page_inputs(run: "Run") -> dict[str, str]:
    """Files of the worked example: first model, first facts, first locator."""
    if "fidelity" not in run.settings["experiments"]:
        return {}
    model, facts = run.settings["models"][0], _settings(run)["facts"][0]
    locator = _settings(run)["locators"][0]
    return {
        "fact_prompts": _root(run, "facts", facts, model, "prompts.parquet"),
        "fact_sets": located_shards(run, model, facts, locator)[0],
    }


def measure_fidelity(run: "Run", model: str, facts: str, locator: str) -> dict[str, Any]:
    settings = _settings(run)
    found = {"model": model, "facts": facts, "locator": locator, "seed": run.settings["seed"]}
    found |= {key: settings[key] for key in ("rewrites", "partners", "n_draws", "minimum")}
    own = settings[locator]
    if locator_settings.unit(locator) == locator_settings.NEURON:
        if "ratio" in own:
            # Averaged scores are then cut like those of a single prompt.
            found["ratio"] = own["ratio"]
        rules = {name: run.config["masks"][name] for name in run.settings["masks"]}
        # Single facts have no other tasks to be compared with.
        found["masks"] = {k: v for k, v in rules.items() if v.get("against", "none") == "none"}
    if locator_settings.offers(locator, "refined"):
        found["share"] = own["share"]
    return found


def measure_kn_on_tasks(run: "Run", model: str) -> dict[str, Any]:
    settings = _settings(run)
    return {
        "model": model,
        "method": run.settings["methods"][0],
        "tasks": run.settings["tasks"],
        "ratio": settings["kn"]["ratio"],
        "samples": settings["task_samples"],
        "seed": run.settings["seed"],
    } | {key: settings[key] for key in ("partners", "n_draws", "minimum")}


def tabulate_tracing(run: "Run") -> dict[str, Any]:
    return {"shown": 3, "minimum": _settings(run)["minimum"], "seed": run.settings["seed"]}
