"""Which locators there are for what, and which settings each of them takes.

Everything is asked of the files in ``workflow/caploc/locators`` by their text (`signatures`); their
contract stands in ``locators/__init__.py``.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import field, make_dataclass
from typing import Any

from caploc import plugins, signatures
from caploc.settings import schema_of

__all__ = [
    "NEURON",
    "fitting",
    "of_facts",
    "of_plants",
    "of_tasks",
    "offers",
    "ranking",
    "taken",
    "unit",
    "with_sections",
]

NEURON = "ffn neuron"
_LOCATORS = "locators"
_FACT = ("locate", "located", "refined")


def unit(name: str) -> str:
    """What a locator scores: "ffn neuron", "layer" or "edge"."""
    return str(plugins.constants(_LOCATORS, name).get("UNIT"))


def offers(name: str, function: str) -> bool:
    """Does a locator define a function?"""
    return function in signatures.functions(_LOCATORS, name)


def of_tasks() -> list[str]:
    """Locators of the neurons of a task, sample by sample: what ``methods`` may name."""
    return [n for n in plugins.names(_LOCATORS) if offers(n, "locate") and unit(n) == NEURON]


def of_plants() -> list[str]:
    """Locators that score every neuron once for all samples of a task."""
    return [
        name
        for name in plugins.names(_LOCATORS)
        if (offers(name, "score") or offers(name, "locate")) and unit(name) == NEURON
    ]


def of_facts() -> list[str]:
    """Locators that say which units a single fact has."""
    return [name for name in plugins.names(_LOCATORS) if offers(name, "located")]


def ranking() -> list[str]:
    """Locators of facts that put neurons, heads or FFN layers into an order."""
    return [name for name in of_facts() if unit(name) == NEURON or offers(name, "rank")]


def taken(name: str, function: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some settings that a function of a locator takes."""
    known = signatures.parameters(_LOCATORS, name, function)
    return {key: value for key, value in settings.items() if key in known}


def _of_scores(name: str) -> tuple[str, ...]:
    """Functions whose settings a score has: where `score` passes on others, those of `locate`."""
    if not offers(name, "score"):
        return ("locate",)
    return ("score", "locate") if signatures.passes_on(_LOCATORS, name, "score") else ("score",)


def fitting(names: list[str], *, scores: bool, text: str) -> dict[str, Any]:
    """JSON Schema of ``{locator: <name>, <its settings>}``.

    Args:
        names: locators to choose from.
        scores: the settings are those of a score, not of `locate` alone.
        text: description of the key ``locator``.
    """
    key = {"type": "string", "enum": names, "description": text}
    choices = []
    for name in names:
        functions = _of_scores(name) if scores else ("locate",)
        own = schema_of(signatures.settings_class(_LOCATORS, name, functions))
        own["properties"] = {"locator": {}} | own["properties"]
        named = {"required": ["locator"], "properties": {"locator": {"const": name}}}
        choices.append({"if": named, "then": own})
    return {
        "type": "object", "required": ["locator"], "properties": {"locator": key}, "allOf": choices,
    }  # fmt: skip


def with_sections(
    settings: type, names: Sequence[str] = (), functions: tuple[str, ...] = _FACT
) -> type:
    """A settings class with a section for each of some locators, named like it.

    Args:
        settings: the class.
        names: of locators; none: of all locators of facts.
        functions: of the locators, whose settings stand in the sections.
    """
    names = names or of_facts()
    own = {name: signatures.settings_class(_LOCATORS, name, functions) for name in names}
    found = make_dataclass(
        settings.__name__,
        [(name, kind, field(default_factory=kind)) for name, kind in own.items()],
        bases=(settings,),
        frozen=True,
    )
    lines = [f"    {name}: {(kind.__doc__ or '').splitlines()[0]}" for name, kind in own.items()]
    found.__doc__ = "\n".join([inspect.cleandoc(settings.__doc__ or ""), *lines])
    return found
