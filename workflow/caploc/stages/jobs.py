"""Files and settings of the jobs from data to masks: one function a stage, named like it."""

import math
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caploc import locator_settings, plugins
from caploc.catalogues.data import FactsSource, TaskSource
from caploc.jobs.digests import content_digest
from caploc.jobs.named_files import named_files, packaged_file

if TYPE_CHECKING:
    from caploc.jobs.run import Run


def train_model(run: "Run", model: str) -> dict[str, Any]:
    entry = run.config["models"][model]
    train = dict(entry["train"])
    return {
        "model": model,
        "seed": train.pop("seed", run.settings["seed"]),
        "architecture": entry["architecture"],
        "train": train,
    }


def fetch_model(run: "Run", model: str) -> dict[str, Any]:
    entry = run.config["models"][model]
    spec = {"model": model, "repo": entry.get("repo"), "path": entry.get("path")}
    spec |= {key: entry[key] for key in ("family", "revision", "dtype")}
    spec |= {key: entry[key] for key in ("shape", "gguf", "package") if key in entry}
    return spec | _model_content(entry)


def _model_content(entry: dict[str, Any]) -> dict[str, Any]:
    if "package" in entry:
        return {"content": packaged_file(entry["package"], entry["gguf"])[1]}
    local = entry.get("path") or (None if "repo" in entry else entry.get("gguf"))
    return {"content": content_digest(Path(local))} if local else {}


def prepare_samples(run: "Run", task: str) -> dict[str, Any]:
    entry = _read(TaskSource, run.config["tasks"][task])
    content = {name: content_digest(Path(name)) for name in named_files(entry.get("files"))}
    return entry | {"task": task, "seed": run.settings["seed"]} | _edited(content)


def shuffle_answers(run: "Run", task: str) -> dict[str, Any]:
    return {"task": task, "seed": run.settings["seed"]}


def check_splits(run: "Run") -> dict[str, Any]:
    return {"tasks": run.tasks}


def evaluate_base(run: "Run", model: str, task: str) -> dict[str, Any]:
    entry = run.config["tasks"][task]
    return {"model": model, "task": task, "plugin": entry["plugin"]} | place(run, model)


def attribute_shard(run: "Run", model: str, task: str, method: str, shard: str) -> dict[str, Any]:
    return {
        "model": model,
        "task": task,
        "method_id": method,
        "method": _method(run, model, method),
        "shard": int(shard),
        "shard_size": run.settings["shard_size"],
        "seed": run.settings["seed"],
    } | place(run, model)


def score_converged(run: "Run", model: str, method: str) -> dict[str, Any]:
    return {
        "model": model,
        "tasks": run.tasks,
        "method_id": method,
        "method": _method(run, model, method),
        "n_samples": run.settings["converged_samples"],
        "seed": run.settings["seed"],
    } | place(run, model)


def place(run: "Run", model: str) -> dict[str, Any]:
    entry = run.config["models"][model]
    return {key: entry[key] for key in ("family", "dtype", "device")}


def memory(run: "Run", model: str) -> dict[str, Any]:
    """The budget of a model that has one, as a setting of a locator of neurons."""
    entry = run.config["models"][model]
    return {key: entry[key] for key in ("memory_mib",) if key in entry}


def _method(run: "Run", model: str, method: str) -> dict[str, Any]:
    entry = run.config["methods"][method]
    return entry | locator_settings.taken(entry["locator"], "locate", memory(run, model))


def aggregate_scores(run: "Run", model: str, task: str, method: str) -> dict[str, Any]:
    return {
        "model": model,
        "task": task,
        "method": method,
        "n_splits": run.settings["splits"],
        "n_per_half": None,
        "curve": None,
        "min_samples": run.settings["minimum_samples"],
        "seed": run.settings["seed"],
    }


def aggregate_mixture(run: "Run", model: str, method: str) -> dict[str, Any]:
    return aggregate_scores(run, model, "mixture", method) | {"tasks": run.settings["tasks"]}


def build_mask(run: "Run", model: str, task: str, method: str, mask: str) -> dict[str, Any]:
    ids = {"model": model, "task": task, "method": method, "mask": mask}
    return ids | run.config["masks"][mask]


def tabulate_neurons(run: "Run") -> dict[str, Any]:
    return {}


tabulate_base = tabulate_samples = tabulate_completeness = tabulate_neurons


def write_report(run: "Run") -> dict[str, Any]:
    shown = ("title", "capability")
    return {
        "run": run.settings["name"],
        "title": run.settings["title"] or run.settings["name"],
        "config": run.config,
        "tasks": [
            {"id": task, "plugin": run.config["tasks"][task]["plugin"]}
            | {k: v for k, v in run.config["tasks"][task].items() if k in shown}
            for task in run.settings["tasks"]
        ],
        "models": run.settings["models"],
        "methods": run.settings["methods"],
        "masks": [
            {"id": m, "sigma": run.config["masks"][m]["sigma"]} for m in run.settings["masks"]
        ],
        "headline_mask": run.settings["headline_mask"],
        "pairs": run.settings["pairs"],
        "neutral": run.settings["neutral"],
    }


def _facts(run: "Run") -> dict[str, Any]:
    return run.config["experiments"]["fidelity"]


def located_shards(run: "Run", model: str, facts: str, locator: str) -> list[str]:
    """Files of located sets of one locator."""
    n = math.ceil(run.config["facts"][facts]["n"] / _facts(run)["shard_size"])
    folder = run.root / "located" / model / facts / locator
    return [str(folder / f"shard-{i:04d}.parquet") for i in range(n)]


def prepare_facts(run: "Run", facts: str) -> dict[str, Any]:
    entry = _read(FactsSource, run.config["facts"][facts])
    content = {
        name: content_digest(Path(name), deep=True) for name in named_files(entry.get("files"))
    }
    return entry | {"facts": facts, "seed": run.settings["seed"]} | _edited(content)


def _read(source: type, entry: dict[str, Any]) -> dict[str, Any]:
    """What decides about the data: a changed title prepares nothing anew."""
    return {f.name: entry[f.name] for f in fields(source) if f.name in entry}


def _edited(content: dict[str, str]) -> dict[str, Any]:
    """What a user may edit beside the configuration: another content is another setting."""
    return {"content": content} if content else {}


def recall_facts(run: "Run", model: str, facts: str) -> dict[str, Any]:
    entry, settings = run.config["models"][model], _facts(run)
    return {
        "model": model,
        "facts": facts,
        "dtype": entry["dtype"],
        "device": entry["device"],
        "seed": run.settings["seed"],
    } | {key: settings[key] for key in ("rewrites", "refine_prompts", "own_rewrites")}


def locate_facts(run: "Run", model: str, facts: str, locator: str, shard: str) -> dict[str, Any]:
    entry, settings = run.config["models"][model], _facts(run)
    own = settings[locator]
    return {
        "model": model,
        "facts": facts,
        "locator": locator,
        "locate": locator_settings.taken(locator, "locate", own | memory(run, model)),
        "choose": locator_settings.taken(locator, "located", own),
        "rewrites": settings["rewrites"],
        "prompts": settings["refine_prompts"] if locator_settings.offers(locator, "refined") else 1,
        "shard": int(shard),
        "shard_size": settings["shard_size"],
        "dtype": entry["dtype"],
        "device": entry["device"],
        "seed": run.settings["seed"],
    }


def join_parts(run: "Run", table: str) -> dict[str, Any]:
    return {"table": table}


def _trained_on(run: "Run", model: str) -> list[str]:
    mixture = run.config["models"][model]["train"]["mixture"]
    return [plugins.module_name("tasks", name) for name in mixture]


def _locator(run: "Run", method: str, **_: str) -> list[str]:
    return [plugins.module_name("locators", run.config["methods"][method]["locator"])]


def _facts_plugin(run: "Run", facts: str) -> list[str]:
    return [plugins.module_name("facts", run.config["facts"][facts]["plugin"])]


_ROOT = Path(__file__).parents[1]
_SECTIONS = plugins.experiments("section.html.jinja")
EXECUTED = {
    "train_model": _trained_on,
    "prepare_samples": lambda run, task: run.task_plugins(task),
    "evaluate_base": lambda run, model, task: run.task_plugins(task),
    "attribute_shard": _locator,
    "score_converged": _locator,
    "prepare_facts": _facts_plugin,
    "locate_facts": lambda run, locator, **_: [plugins.module_name("locators", locator)],
    "join_parts": lambda run, table: [f"caploc.experiments.{table}.table"],
    # Titles and capabilities come from the tasks, sections from the experiments.
    "write_report": lambda run: [
        *run.task_plugins(*run.tasks),
        *(f"caploc.report.{name}" for name in ("data", "model", "precision")),
        *(f"caploc.experiments.{e}.report" for e in _SECTIONS),
    ],
}
FILES = {
    "write_report": [
        path
        for folder in ("report", *map("experiments/{}".format, _SECTIONS))
        for path in sorted((_ROOT / folder).iterdir())
        if path.suffix in (".jinja", ".css", ".json")
    ]
}
