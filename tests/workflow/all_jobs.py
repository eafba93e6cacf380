"""Every job of a run that uses every setting: what each is told, and what it imports."""

import copy
import inspect
from itertools import product
from unittest.mock import patch

from configs import embedded

import caploc.jobs.run
import caploc.stages.jobs
from caploc import plugins
from caploc.config import check, schema
from caploc.experiments.known_answer import jobs as known_answer
from caploc.jobs.digests import imported_modules
from caploc.jobs.run import Run, jobs_of

CONFIG = embedded()
# Beside the run of the trained model: others from elsewhere, own records, facts of the hub.
CONFIG["run"] |= {
    "models": ["embedded", "hub", "local", "packaged"],
    "methods": ["cnl", "other", "worth"],
    "masks": [*CONFIG["run"]["masks"], "own"],
    "reuse": ["before"],
}
CONFIG["run"]["tasks"] += ["mine", "remote", "antonyms"]
CONFIG["experiments"]["decoupling"]["families"] += ["noun_tasks"]
CONFIG["methods"]["other"] = {"locator": "cnl", "rule": "adaptive"}
CONFIG["methods"]["worth"] = {"locator": "uniform_masks"}
CONFIG["masks"]["own"] = {"sigma": 3.0, "against": "others"}
CONFIG["models"]["embedded"]["train"]["seed"] = 1
CONFIG["models"]["hub"] = {
    "family": "llama", "repo": "a/b", "revision": "main",
    "shape": {"layers": 2, "hidden": 8, "ffn": 16, "heads": 2, "kv_heads": 2, "vocabulary": 9},
}  # fmt: skip
CONFIG["models"]["local"] = {"family": "gpt2", "path": "folder", "memory_mib": 512}
CONFIG["models"]["packaged"] = {"family": "llama", "gguf": "a.gguf", "package": "some-package"}
CONFIG["tasks"]["mine"] = {
    "plugin": "generic", "files": "mine.csv", "format": "csv", "header": ["q", "a"],
    "columns": {"q": "question"}, "labels": ["yes", "no"], "prompt": "{q}", "answer": "{a}",
    "title": "Mine", "capability": "mine", "chat": True, "system": "mine",
    "tokens": {"prompt": 9.0, "answer": 3.0},
}  # fmt: skip
CONFIG["tasks"]["remote"] = {"plugin": "gsm8k", "repo": "a/b", "revision": "main"}
CONFIG["facts"]["mine"] = {
    "plugin": "zsre", "title": "Mine", "files": "mine.csv", "format": "csv", "columns": {"a": "b"},
    "n": 20,
}  # fmt: skip
CONFIG["facts"]["remote"] = {"plugin": "counterfact", "repo": "a/b", "revision": "main"}
CONFIG["experiments"]["known_answer"]["plants"]["twice"]["layers"] = [0, 1]
CONFIG["experiments"]["known_answer"]["locators"] |= {
    "adaptive": {"locator": "cnl", "tolerance": 0.001},
    "kn": {"locator": "kn", "ratio": 0.2},
    "weights": {"locator": "weight_activation", "general": 0.05},
    "entropy": {"locator": "activation_entropy", "active": 0.9},
}
for experiment in ("fidelity", "reliability"):
    CONFIG["experiments"][experiment]["facts"] = ["invented", "mine", "remote"]


def checked(config=CONFIG):
    return check(copy.deepcopy(config))


def leaves(part=None, where=()):
    """Dotted names of all settings; `*` is an id, `[]` an item of a list."""
    part = schema() if part is None else part
    found = []
    for key, inner in part.get("properties", {}).items():
        found += leaves(inner, (*where, key))
    for key, inner in (("*", part.get("additionalProperties")), ("[]", part.get("items"))):
        if isinstance(inner, dict) and (key == "*" or "properties" in inner):
            found += leaves(inner, (*where, key))
    # What a locator is told stands beside its name.
    for choice in part.get("allOf", []):
        found += leaves(choice["then"], where)
    return sorted(set(found)) or [".".join(where)]


def jobs(plan):
    """Stage and wildcards of every job; of shards, the first."""
    run, experiments = plan.settings, plan.config["experiments"]
    values = {
        "model": run["models"], "task": run["tasks"], "method": run["methods"],
        "mask": run["masks"], "shard": ["0000"], "facts": experiments["fidelity"]["facts"],
        "locator": experiments["fidelity"]["locators"],
        "pairs": experiments["decoupling"]["families"],
        "plant": list(experiments["known_answer"]["plants"]), "seed": ["0"],
        "extent": list(known_answer.EXTENTS),
        "table": ["agreement", "decoupling", "fidelity", "reliability"],
    }  # fmt: skip
    for stage in plugins.stages():
        function = getattr(jobs_of(stage), stage)
        names = list(inspect.signature(function).parameters)[1:]  # the first is the run
        own = values | {
            "train_model": {"model": plan.trained_models},
            "fetch_model": {"model": [m for m in run["models"] if m not in plan.trained_models]},
            "prepare_samples": {"task": plan.tasks},
            "attribute_shard": {"task": plan.scored},
        }.get(stage, {})
        if stage in ("measure_effects", "score_plant", "rank_plant", "check_null"):
            own = own | {"task": ["emotions"]}
        for chosen in product(*(own[name] for name in names)):
            yield stage, dict(zip(names, chosen, strict=True))


def told(config):
    """Settings that every job is told."""
    plan = Run(config)
    with patch.object(caploc.stages.jobs, "packaged_file", lambda *names: (names, "1.0")):
        return {
            (stage, *wildcards.items()): plan.spec(stage, **wildcards)
            for stage, wildcards in jobs(plan)
        }


def stages_of_modules(monkeypatch):
    """Stages by the module of the library whose edit changes the code of one of their jobs."""
    found = {}
    plan = Run(checked())
    named = []
    monkeypatch.setattr(
        caploc.jobs.run, "code_digest", lambda *names, **_: named.append(names) or ""
    )
    for stage, wildcards in jobs(plan):
        plan.code(stage, **wildcards)
        for module in imported_modules(*named.pop()):
            found.setdefault(module, set()).add(stage)
    return found


def changed(key):
    """The checked configuration with another value of a setting, in every entry that holds it."""
    config = checked()
    *parents, last = key.split(".")
    places = [config]
    for part in parents:
        places = [inner for place in places for inner in _inside(place, part)]
    for place in places:
        if last == "[]":
            place[:] = [_other(key, item) for item in place]
        for name in [last] if last != "*" else list(place):
            if isinstance(place, dict) and name in place:
                place[name] = _other(key, place[name])
    return config


def _inside(place, part):
    if part in ("*", "[]"):
        return [v for v in (place.values() if isinstance(place, dict) else place)]
    return [place[part]] if part in place else []


# Where no other value follows from the type.
_OTHERS = {
    "run.models": ["hub"],
    "run.tasks": ["emotions", "reviews"],
    "run.methods": ["other"],
    "run.masks": ["s6", "s12"],
    "run.headline_mask": "s3",
    "run.neutral": None,
    "run.experiments": ["erasure"],
    "models.*.family": "mistral",
    "models.*.dtype": "float64",
    "tasks.*.plugin": "imdb",
    "tasks.*.format": "tsv",
    "methods.*.rule": "left",
    "masks.*.dispersion": "var",
    "masks.*.sign": "positive",
    "masks.*.against": "others",
    "facts.*.plugin": "lre",
    "facts.*.format": "tsv",
    "experiments.fidelity.facts": ["mine"],
    "experiments.fidelity.locators": ["kn"],
    "experiments.fidelity.kn.rule": "left",
    "experiments.fidelity.circuit.rule": "left",
    "experiments.reliability.facts": ["mine"],
    "experiments.reliability.rome.layer": 2,
    "experiments.reliability.rome.prefixes": [[1, 1]],
    "experiments.reliability.circuit.ablation": "counterfactual",
    "experiments.decoupling.families": ["remarks"],
    "experiments.decoupling.kn.rule": "left",
    "experiments.enhancement.tasks": ["emotions"],
    "experiments.enhancement.masks": ["s3"],
    "experiments.enhancement.part": "in",
    "experiments.known_answer.model": "embedded",
    "experiments.known_answer.locators.*.locator": "random_order",
    "experiments.known_answer.locators.*.rule": "left",
    "experiments.known_answer.locators.*.site": "post",
    "methods.*.locator": "kn_activation",
    "methods.*.site": "pre",
}


def _other(key, value):
    if key in _OTHERS:
        return _OTHERS[key]
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return f"{value}x"
        case list():
            return value[:-1]
        case None:
            return 3
    raise AssertionError(f"name another value of {key}, now {value!r}")
