"""All stages of a run, what dominates, and which setting would halve it."""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from caploc import plugins
from caploc.estimate.devices import Device
from caploc.estimate.passes import Stage, numbers, of_plan
from caploc.jobs.run import Run as Plan

__all__ = ["Lever", "levers", "measured", "stages"]

# Once for the run, whatever the number of models.
_ONCE = ("prepare_samples", "shuffle_answers", "check_splits", "prepare_facts", "prepare_pairs")
_REPORT = 1e6
"""Page and figures: 0.7 MB in the small run, 1.4 in the default run."""
_TABLE = 3e4
_FILES = 3e3
"""Bytes of a job beside its numbers: footers, receipts, timings."""

Lever = tuple[str, Any, Any, float]
"""Key, value today, value that is tried, share of the dominating stage's time that is left."""


def stages(plan: Plan) -> list[Stage]:
    """Every rule of the run with its work, in the order in which they run.

    Args:
        plan: of a checked configuration.

    Raises:
        DataError: a model does not say its size.
    """
    found: dict[str, Stage] = {}
    for run in of_plan(plan):
        for stage in [stage for module in _cost_modules() for stage in module.cost(run)]:
            if stage.name not in found:
                found[stage.name] = stage
            elif stage.name not in _ONCE:
                found[stage.name] = _both(found[stage.name], stage)
    for table in plan.tables:
        found[f"tabulate_{table}"] = numbers(f"tabulate_{table}", 1, disk=_TABLE)
    found["write_report"] = numbers("write_report", 1, disk=_REPORT)
    return [replace(stage, disk=stage.disk + _FILES * stage.jobs) for stage in found.values()]


def measured(plan: Plan, found: list[Stage]) -> list[Stage]:
    """Stages with the seconds they took, where this very configuration was run before.

    Args:
        plan: of a checked configuration; its ``timings`` are Snakemake's.
        found: its stages.
    """
    told = plan.root / "config.json"
    if not told.is_file() or told.read_text(encoding="utf-8") != plan.shown() + "\n":
        return found
    timed = {}
    for stage in found:
        files = list((plan.root / "timings" / stage.name).rglob("*.jsonl"))
        if len(files) == stage.jobs:
            last = [path.read_text(encoding="utf-8").splitlines()[-1:] for path in files]
            timed[stage.name] = sum(json.loads(line)["s"] for (line,) in filter(None, last))
    return [replace(stage, measured=timed.get(stage.name)) for stage in found]


@cache
def _cost_modules() -> tuple[ModuleType, ...]:
    """Who says what stages cost: the module `cost` beside them."""
    root = Path(plugins.__file__).parent
    folders = ["stages", *(f"experiments/{name}" for name in plugins.experiments())]
    return tuple(
        import_module(f"caploc.{folder.replace('/', '.')}.cost")
        for folder in folders
        if (root / folder / "cost.py").is_file()
    )


def _both(one: Stage, other: Stage) -> Stage:
    """The jobs of two models."""
    memory = [x.accelerator for x in (one, other) if x.accelerator is not None]
    return replace(
        one,
        jobs=one.jobs + other.jobs,
        work=one.work + other.work,
        accelerator=max(memory) if memory else None,
        host=max(one.host, other.host),
        disk=one.disk + other.disk,
        scratch=max(one.scratch, other.scratch),
    )


def levers(plan: Plan, stage: str, device: Device, most: int = 3) -> list[Lever]:
    """Settings that, halved, leave the least of the time of one stage.

    Args:
        plan: of a checked configuration.
        stage: name of the rule.
        device: on which it runs.
        most: how many to name.
    """
    before = _seconds(plan, stage, device)
    found = []
    for key, old, new, config in _halved(plan):
        left = _seconds(Plan(config), stage, device) / before if before else 1.0
        if left < 0.95:
            found.append((key, old, new, left))
    return sorted(found, key=lambda lever: lever[3])[:most]


def _seconds(plan: Plan, stage: str, device: Device) -> float:
    return sum(s.seconds(device) for s in stages(plan) if s.name == stage)


def _halved(plan: Plan) -> Iterator[tuple[str, Any, Any, dict[str, Any]]]:
    """(key, old value, new value, whole configuration) for every number worth halving."""
    for path in _numbers(plan):
        config = copy.deepcopy(plan.config)
        *parents, last = path
        inside = config
        for key in parents:
            inside = inside[key]
        old = inside[last]
        new = old[: -(-len(old) // 2)] if isinstance(old, list) else old // 2
        if not new or new == old:
            continue
        inside[last] = new
        yield ".".join(path), old, new, config
    samples = {task: plan.config["tasks"][task]["samples"] for task in plan.settings["tasks"]}
    for split in ("locate", "train", "test"):
        config = copy.deepcopy(plan.config)
        for task in samples:
            config["tasks"][task]["samples"][split] //= 2
        sizes = sorted({s[split] for s in samples.values()})
        told = sizes[0] if len(sizes) == 1 else sizes
        yield f"tasks.*.samples.{split}", told, "half", config
    if plan.settings["shuffled"]:
        config = copy.deepcopy(plan.config)
        config["run"]["shuffled"] = False
        yield "run.shuffled", True, False, config


def _numbers(plan: Plan) -> Iterator[tuple[str, ...]]:
    """Paths of all numbers, and lists of numbers, that stages may take time for."""
    used = {name for e in plan.settings["experiments"]
            for name in plan.config["experiments"][e].get("facts", ())}  # fmt: skip
    roots = [("methods", name) for name in plan.settings["methods"]]
    roots += [("experiments", name) for name in plan.settings["experiments"]]
    roots += [("facts", name) for name in sorted(used)]
    for kind, name in roots:
        yield from _paths(plan.config[kind][name], (kind, name))


def _paths(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths(inner, (*path, key))
    elif type(value) is int or (
        isinstance(value, list) and all(isinstance(x, int | float) for x in value)
    ):
        yield path
