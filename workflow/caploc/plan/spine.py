"""Settings of the stages from data to the report: one function a stage, named like it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from caploc.plan import Plan

# Keys of a task that only the report shows or `caploc plan` reads: changing them prepares nothing
# anew.
_SHOWN = ("title", "capability", "tokens")


def train_model(plan: "Plan", model: str) -> dict[str, Any]:
    entry = plan.config["models"][model]
    train = dict(entry["train"])
    return {
        "model": model,
        "seed": train.pop("seed", plan.run["seed"]),
        "architecture": entry["architecture"],
        "train": train,
    }


def fetch_model(plan: "Plan", model: str) -> dict[str, Any]:
    entry = plan.config["models"][model]
    spec = {"model": model, "repo": entry.get("repo"), "path": entry.get("path")}
    spec |= {key: entry[key] for key in ("family", "revision", "dtype")}
    return spec | ({"shape": entry["shape"]} if "shape" in entry else {})


def prepare_samples(plan: "Plan", task: str) -> dict[str, Any]:
    entry = {k: v for k, v in plan.config["tasks"][task].items() if k not in _SHOWN}
    return entry | {"task": task, "seed": plan.run["seed"]}


def shuffle_answers(plan: "Plan", task: str) -> dict[str, Any]:
    return {"task": task, "seed": plan.run["seed"]}


def check_splits(plan: "Plan") -> dict[str, Any]:
    return {"tasks": plan.tasks}


def evaluate_base(plan: "Plan", model: str, task: str) -> dict[str, Any]:
    entry = plan.config["tasks"][task]
    return {"model": model, "task": task, "plugin": entry["plugin"]} | place(plan, model)


def attribute_shard(plan: "Plan", model: str, task: str, method: str, shard: str) -> dict[str, Any]:
    return {
        "model": model,
        "task": task,
        "method_id": method,
        "method": plan.config["methods"][method] | memory(plan, model),
        "shard": int(shard),
        "shard_size": plan.run["shard_size"],
        "seed": plan.run["seed"],
    } | place(plan, model)


def score_converged(plan: "Plan", model: str, method: str) -> dict[str, Any]:
    return {
        "model": model,
        "tasks": plan.tasks,
        "method_id": method,
        "method": plan.config["methods"][method] | memory(plan, model),
        "n_samples": plan.run["converged_samples"],
        "seed": plan.run["seed"],
    } | place(plan, model)


def place(plan: "Plan", model: str) -> dict[str, Any]:
    entry = plan.config["models"][model]
    return {key: entry[key] for key in ("family", "dtype", "device")}


def memory(plan: "Plan", model: str) -> dict[str, Any]:
    """The budget of a model that has one, as a setting of a locator of neurons."""
    entry = plan.config["models"][model]
    return {key: entry[key] for key in ("memory_mib",) if key in entry}


def aggregate_scores(plan: "Plan", model: str, task: str, method: str) -> dict[str, Any]:
    return {
        "model": model,
        "task": task,
        "method": method,
        "n_splits": plan.run["splits"],
        "n_per_half": None,
        "curve": None,
        "min_samples": plan.run["minimum_samples"],
        "seed": plan.run["seed"],
    }


def aggregate_mixture(plan: "Plan", model: str, method: str) -> dict[str, Any]:
    return aggregate_scores(plan, model, "mixture", method) | {"tasks": plan.run["tasks"]}


def build_mask(plan: "Plan", model: str, task: str, method: str, mask: str) -> dict[str, Any]:
    ids = {"model": model, "task": task, "method": method, "mask": mask}
    return ids | plan.config["masks"][mask]


def measure_agreement(
    plan: "Plan", model: str, task: str, method: str, mask: str
) -> dict[str, Any]:
    arm = {"mixture": "mixture", plan.run["neutral"]: "neutral"}.get(task, "located")
    ids = {"model": model, "task": task, "method": method, "mask": mask}
    return ids | {"arm": arm, "rule": plan.config["masks"][mask]}


def measure_overlap(plan: "Plan", model: str, method: str, mask: str) -> dict[str, Any]:
    ids = {"model": model, "method": method, "mask": mask, "tasks": plan.run["tasks"]}
    return ids | {"sigma": plan.config["masks"][mask]["sigma"]}


def tabulate_agreement(plan: "Plan") -> dict[str, Any]:
    return {}


tabulate_neurons = tabulate_base = tabulate_samples = tabulate_completeness = tabulate_agreement


def write_report(plan: "Plan") -> dict[str, Any]:
    shown = ("title", "capability")
    return {
        "run": plan.run["name"],
        "title": plan.run["title"] or plan.run["name"],
        "config": plan.config,
        "tasks": [
            {"id": task, "plugin": plan.config["tasks"][task]["plugin"]}
            | {k: v for k, v in plan.config["tasks"][task].items() if k in shown}
            for task in plan.run["tasks"]
        ],
        "models": plan.run["models"],
        "methods": plan.run["methods"],
        "masks": [{"id": m, "sigma": plan.config["masks"][m]["sigma"]} for m in plan.run["masks"]],
        "headline_mask": plan.run["headline_mask"],
        "pairs": plan.run["pairs"],
        "neutral": plan.run["neutral"],
    } | _examples(plan)


def _examples(plan: "Plan") -> dict[str, Any]:
    """What made the worked examples of the page."""
    settings, run = plan.config["experiments"], plan.run["experiments"]
    found = {}
    if "fidelity" in run:
        found["example_locator"] = settings["fidelity"]["locators"][0]
    if "decoupling" in run:
        found["example_rule"] = (
            f"neurons above {settings['decoupling']['kn']['ratio']:g} of the maximum"
        )
    return found


def example_files(plan: "Plan") -> dict[str, str]:
    """Files of the worked examples of the page: first model, first facts, first locator, ..."""
    settings, run = plan.config["experiments"], plan.run["experiments"]
    model, root = plan.run["models"][0], plan.root
    found = {}
    if "fidelity" in run:
        of, locator = settings["fidelity"]["facts"][0], settings["fidelity"]["locators"][0]
        found["fact_prompts"] = root / "facts" / of / model / "prompts.parquet"
        found["fact_sets"] = root / "located" / model / of / locator / "shard-0000.parquet"
    if "decoupling" in run:
        pairs = root / "pairs" / settings["decoupling"]["families"][0]
        found["pair_samples"] = pairs / "samples.parquet"
        found["pair_sets"] = pairs / model / "shard-0000.parquet"
    return {name: str(path) for name, path in found.items()}
