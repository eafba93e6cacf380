"""Parts of the page: sections of its frame, and of every experiment that has one, in order.

A part is a module with

- ``ORDER``: its place on the page;
- ``CONTENTS``: id and title of each of its `<section>`s, for the list of contents;
- ``TABLES``: tables it reads, with their schemas;
- ``section(inputs)``: variables of its template, which sees them as `section`; None: nothing to
  show. A `<section>` that is not shown is None under its id;
- optional ``findings(view)`` and ``tiles(view)``: sentences and decisive numbers of one model and
  method for the first screen; ``verdict(view)``: the sentence that the page leads with, or None;
  ``lead(view)``: variables of ``lead.html.jinja``, shown below them.

An experiment has it in ``report.py``, with its templates beside it; they look the numbers of a
section up themselves, and its sentences are in ``words.jinja`` (`templates`).
"""

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType

from caploc import plugins

__all__ = ["Part", "parts"]

TEMPLATE = "section.html.jinja"
_FRAME = ("model", "precision", "data")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the page: its module, and its template as the loader knows it."""

    name: str
    module: ModuleType
    template: str

    @property
    def of_frame(self) -> bool:
        """It belongs to no experiment."""
        return self.name in _FRAME


@cache
def parts() -> tuple[Part, ...]:
    """All parts in the order of the page."""
    found = [
        Part(name, import_module(f"caploc.report.{name}"), f"{name}.html.jinja") for name in _FRAME
    ]
    found += [
        Part(name, import_module(f"caploc.experiments.{name}.report"), f"{name}/{TEMPLATE}")
        for name in plugins.experiments(TEMPLATE)
    ]
    return tuple(sorted(found, key=lambda part: part.module.ORDER))
