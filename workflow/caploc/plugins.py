"""Plug-ins are files: the public modules of a folder are its choices, by file name.

Listing reads file names only, so the Snakefile can list tasks without importing torch.
"""

from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from caploc.records import DataError

__all__ = ["load", "module_name", "names"]


def names(kind: str) -> list[str]:
    """Names of all plug-ins of a kind (`tasks`, `models`, `locators`, ...), sorted."""
    return list(_listed(__file__, kind))


@cache
def _listed(beside: str, kind: str) -> tuple[str, ...]:
    """Every job of a workflow asks for its plug-in: one look at the folder is enough."""
    folder = Path(beside).parent / kind
    return tuple(sorted(p.stem for p in folder.glob("*.py") if not p.stem.startswith("_")))


def module_name(kind: str, name: str) -> str:
    """Dotted module name of a plug-in.

    Raises:
        DataError: no such plug-in; the message lists what there is.
    """
    if name not in names(kind):
        raise DataError(f"unknown {kind} plug-in {name!r}; available: {', '.join(names(kind))}")
    return f"caploc.{kind}.{name}"


def load(kind: str, name: str) -> ModuleType:
    """Import a plug-in.

    Raises:
        DataError: no such plug-in.
    """
    return import_module(module_name(kind, name))
