"""Which locators there are for what, and which settings each of them takes.

Everything is read from the text of the files in ``workflow/caploc/locators``, without importing
them: a configuration is checked on every call of Snakemake, and a locator loads torch. A setting is
a keyword-only parameter of a function of a locator. Its annotation is a type of `caploc.settings`
or a plain one, its default is a literal, and its line under ``Args:`` says what it is; the rest of
the contract stands in ``locators/__init__.py``.
"""

import ast
import inspect
import typing
from collections.abc import Mapping, Sequence
from dataclasses import field, make_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from caploc import plugins, settings
from caploc.records import DataError

__all__ = [
    "NEURON",
    "fitting",
    "of_facts",
    "of_plants",
    "of_tasks",
    "offers",
    "ranking",
    "settings_class",
    "taken",
    "unit",
    "with_sections",
]

NEURON = "ffn neuron"
_LOCATORS = "locators"
_FACT = ("locate", "located", "refined")
# Parameters that are never settings: the run gives them.
_GIVEN = ("seed", "memory_mib", "spread")
_NAMES: dict[str, Any] = {
    **{name: getattr(settings, name) for name in settings.__all__},
    **{name: getattr(typing, name) for name in ("Annotated", "Any", "Literal")},
    **{kind.__name__: kind for kind in (bool, dict, float, int, list, str, tuple)},
}


@cache
def _text(name: str) -> tuple[str, dict[str, ast.FunctionDef]]:
    """First line of what a locator says of itself, and its functions."""
    path = Path(__file__).parent.joinpath(*plugins.module_name(_LOCATORS, name).split(".")[1:])
    path = path.with_suffix(".py")
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise DataError(f"{path}, line {error.lineno}: {error.msg}; correct the file") from error
    title = (ast.get_docstring(tree) or name).partition("\n")[0]
    return title, {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}


def unit(name: str) -> str:
    """What a locator scores: "ffn neuron", "layer" or "edge"."""
    return str(plugins.constants(_LOCATORS, name).get("UNIT"))


def offers(name: str, function: str) -> bool:
    """Does a locator define a function?"""
    return function in _text(name)[1]


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


def taken(name: str, function: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some settings that a function of a locator takes; none without it."""
    node = _text(name)[1].get(function)
    known = {argument.arg for argument in node.args.kwonlyargs} if node else set()
    return {key: value for key, value in values.items() if key in known}


def fitting(names: list[str], *, scores: bool, text: str) -> dict[str, Any]:
    """JSON Schema of ``{locator: <name>, <its settings>}``.

    Args:
        names: locators to choose from.
        scores: the settings are those of a score, not of `locate` alone; where `score` passes on
            others (``**settings``), those of `locate` as well.
        text: description of the key ``locator``.
    """
    key = {"type": "string", "enum": names, "description": text}
    choices = []
    for name in names:
        functions: tuple[str, ...] = ("locate",)
        if scores and (score := _text(name)[1].get("score")):
            functions = ("score",) if score.args.kwarg is None else ("score", "locate")
        own = settings.schema_of(settings_class(name, functions))
        own["properties"] = {"locator": {}} | own["properties"]
        named = {"required": ["locator"], "properties": {"locator": {"const": name}}}
        choices.append({"if": named, "then": own})
    return {
        "type": "object", "required": ["locator"], "properties": {"locator": key}, "allOf": choices,
    }  # fmt: skip


def with_sections(
    kind: type, names: Sequence[str] = (), functions: tuple[str, ...] = _FACT
) -> type:
    """A settings class with a section for each of some locators, named like it.

    Args:
        kind: the class.
        names: of locators; none: of all locators of facts.
        functions: of the locators, whose settings stand in the sections.
    """
    own = {name: settings_class(name, functions) for name in names or of_facts()}
    sections = [(name, section, field(default_factory=section)) for name, section in own.items()]
    found = make_dataclass(kind.__name__, sections, bases=(kind,), frozen=True)
    lines = [f"    {name}: {_text(name)[0]}" for name in own]
    found.__doc__ = "\n".join([inspect.cleandoc(kind.__doc__ or ""), *lines])
    return found


@cache
def settings_class(name: str, of: tuple[str, ...]) -> type:
    """The settings of some functions of a locator as a frozen dataclass, see `caploc.settings`.

    Args:
        name: of the locator.
        of: functions; of a setting that two of them take, the first says what it is. Those that
            the locator does not define are passed over.

    Raises:
        DataError: no such locator, its file is no Python, or an annotation or default is not to be
            understood alone.
    """
    title, functions = _text(name)
    fields: dict[str, Any] = {}
    lines: list[str] = []
    for node in (functions[function] for function in of if function in functions):
        told = settings.lines_under("Args:", ast.get_docstring(node) or "")
        for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
            key = argument.arg
            if key in _GIVEN or key in fields:
                continue
            where = f"locator {name!r}, parameter {key!r} of {node.name}"
            hint = Any if argument.annotation is None else _value(argument.annotation, where)
            fields[key] = (key, hint) + (
                () if default is None else (field(default=_value(default, where)),)
            )
            lines.append(f"    {key}: {told.get(key, 'see the file')}")
    # Fields without a default stand first, as a dataclass asks.
    ordered = sorted(fields.values(), key=len)
    found = make_dataclass(name.title().replace("_", ""), ordered, frozen=True)
    found.__doc__ = "\n".join([title, "", "Attributes:", *lines])
    return found


def _value(node: ast.expr, where: str) -> Any:
    """What an annotation or a default stands for: nothing is run but types put together."""
    match node:
        case ast.Name(id=name) if name in _NAMES:
            return _NAMES[name]
        case ast.Subscript(value=kind, slice=inner):
            return _value(kind, where)[_value(inner, where)]
        case ast.Tuple(elts=parts):
            return tuple(_value(part, where) for part in parts)
        case ast.BinOp(left=one, op=ast.BitOr(), right=other):
            return _value(one, where) | _value(other, where)
        case ast.Call(func=kind, args=[], keywords=words):
            told = {word.arg: _value(word.value, where) for word in words if word.arg}
            return _value(kind, where)(**told)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise DataError(
            f"{where}: {ast.unparse(node)} is not understood; expected literals and "
            f"{', '.join(sorted(_NAMES))}"
        ) from None
