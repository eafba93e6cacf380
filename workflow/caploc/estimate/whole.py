"""All stages of a run, what dominates, and which setting would halve it."""

import copy
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache, reduce
from importlib import import_module
from operator import getitem
from types import ModuleType
from typing import Any

from caploc import plugins
from caploc.estimate.devices import Device
from caploc.estimate.passes import of_plan
from caploc.estimate.work import Stage, Work, numbers
from caploc.jobs.run import Run as Plan

__all__ = ["Lever", "levers", "measured", "stages", "together"]

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
                found[stage.name] = together(stage.name, (found[stage.name], stage))
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
    names = ["stages", *(f"experiments.{name}" for name in plugins.experiments("cost.py"))]
    return tuple(import_module(f"caploc.{name}.cost") for name in names)


def together(name: str, found: Iterable[Stage]) -> Stage:
    """Several stages, or one stage of several models, as one: jobs and disk add up."""
    every = list(found)
    known = [stage.measured for stage in every if stage.measured is not None]
    return Stage(
        name,
        sum(stage.jobs for stage in every),
        sum((stage.work for stage in every), Work()),
        max((s.accelerator for s in every if s.accelerator is not None), default=None),
        max(stage.host for stage in every),
        sum(stage.disk for stage in every),
        max(stage.scratch for stage in every),
        sum(known) if len(known) == len(every) else None,
    )


def levers(plan: Plan, stage: str, device: Device, most: int = 4) -> list[Lever]:
    """Settings that, halved, leave the least of the time of one stage; a tolerance is tenfold.

    Args:
        plan: of a checked configuration.
        stage: name of the rule.
        device: on which it runs.
        most: how many to name.
    """
    before, found = _seconds(plan, stage, device), []
    for key, old, new, changes in _halved(plan):
        config = copy.deepcopy(plan.config)
        for (*parents, last), value in changes.items():
            reduce(getitem, parents, config)[last] = value
        left = _seconds(Plan(config), stage, device) / before if before else 1.0
        if left < 0.95:
            found.append((key, old, new, left))
    return sorted(found, key=lambda lever: lever[3])[:most]


def _seconds(plan: Plan, stage: str, device: Device) -> float:
    return sum(s.seconds(device) for s in stages(plan) if s.name == stage)


def _halved(plan: Plan) -> Iterator[tuple[str, Any, Any, dict[tuple[str, ...], Any]]]:
    """(key, old value, new value, values by path) of every number worth halving, and tolerances."""
    settings, config = plan.settings, plan.config
    used = {
        name for e in settings["experiments"] for name in config["experiments"][e].get("facts", ())
    }
    roots = [("methods", name) for name in settings["methods"]]
    roots += [("experiments", name) for name in settings["experiments"]]
    roots += [("facts", name) for name in sorted(used)]
    for kind, name in roots:
        for path, old in _numbers(config[kind][name], (kind, name)):
            new = old[: -(-len(old) // 2)] if isinstance(old, list) else old // 2
            if new and new != old:
                yield ".".join(path), old, new, {path: new}
    for name in settings["methods"]:
        # A path that stops by itself is shortened by its tolerance; its cap bounds layer 0 alone.
        if config["methods"][name].get("rule") == "adaptive":
            old = config["methods"][name]["tolerance"]
            path = ("methods", name, "tolerance")
            yield ".".join(path), old, 10 * old, {path: 10 * old}
    for split in ("locate", "train", "test"):
        n = {task: config["tasks"][task]["samples"][split] for task in settings["tasks"]}
        sizes = sorted(set(n.values()))
        half: dict[tuple[str, ...], Any]
        half = {("tasks", task, "samples", split): size // 2 for task, size in n.items()}
        yield f"tasks.*.samples.{split}", sizes if sizes[1:] else sizes[0], "half", half
    if settings["shuffled"]:
        yield "run.shuffled", True, False, {("run", "shuffled"): False}


def _numbers(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Paths and values of all numbers, and lists of numbers, that stages may take time for."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, (*path, key))
    elif type(value) is int or (
        isinstance(value, list) and all(isinstance(x, int | float) for x in value)
    ):
        yield path, value
