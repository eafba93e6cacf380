"""What is found by its place: plug-ins, stages and experiments are files and folders, by name.

Listing reads names only, so the Snakefile can list tasks without importing torch.
"""

import ast
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from caploc.records import DataError

__all__ = ["constants", "declared", "experiments", "load", "module_name", "names", "stages"]

# Folder of each kind of plug-in, where it is not called like the kind.
_FOLDERS = {"families": "models/families"}
# Public modules of an experiment that are no stage.
_PARTS = ("settings", "jobs", "table", "report", "cost")


def names(kind: str) -> list[str]:
    """Names of all plug-ins of a kind (`tasks`, `families`, `locators`, ...), sorted."""
    return list(_listed(__file__, _FOLDERS.get(kind, kind)))


@cache
def _listed(beside: str, folder: str) -> tuple[str, ...]:
    """Every job of a workflow asks for its plug-in: one look at the folder is enough."""
    found = (Path(beside).parent / folder).glob("*.py")
    return tuple(sorted(p.stem for p in found if not p.stem.startswith("_")))


def module_name(kind: str, name: str) -> str:
    """Dotted module name of a plug-in.

    Raises:
        DataError: no such plug-in; the message lists what there is.
    """
    if name not in names(kind):
        raise DataError(f"unknown {kind} plug-in {name!r}; available: {', '.join(names(kind))}")
    return f"caploc.{_FOLDERS.get(kind, kind).replace('/', '.')}.{name}"


def load(kind: str, name: str) -> ModuleType:
    """Import a plug-in.

    Raises:
        DataError: no such plug-in.
    """
    return import_module(module_name(kind, name))


@cache
def constants(kind: str, name: str) -> dict[str, Any]:
    """What a plug-in says of itself in literals (``TITLE = "Causal tracing"``), by name.

    The text of its file is read, as setuptools reads a version: who only has to name a locator
    need not import torch for it. Empty where there is no such plug-in.
    """
    path = Path(__file__).parent / _FOLDERS.get(kind, kind) / f"{name}.py"
    found: dict[str, Any] = {}
    if name in names(kind):
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=key)], value=value):
                    with suppress(ValueError):  # not a literal
                        found[key] = ast.literal_eval(value)
    return found


@cache
def experiments(holding: str = "jobs.py") -> tuple[str, ...]:
    """Names of the folders of experiments that hold this file, sorted."""
    root = Path(__file__).parent / "experiments"
    return tuple(sorted(p.parent.name for p in root.glob(f"*/{holding}")))


@cache
def stages() -> dict[str, str]:
    """Dotted module of every stage by its name, sorted."""
    folders = ["stages", *(f"experiments/{name}" for name in experiments())]
    found = {
        name: f"caploc.{folder.replace('/', '.')}.{name}"
        for folder in folders
        for name in _listed(__file__, folder)
        if name not in _PARTS
    }
    return dict(sorted(found.items()))


@cache
def declared(name: str) -> dict[str, Any]:
    """What the modules `settings` of all experiments declare under a name, put together.

    Args:
        name: ``SECTIONS``, the dataclass of each section of the configuration, or ``TABLES``, the
            tables that each name under ``run.experiments`` adds to a run.
    """
    found: dict[str, Any] = {}
    for experiment in experiments("settings.py"):
        settings = import_module(f"caploc.experiments.{experiment}.settings")
        found |= getattr(settings, name, {})
    return found
