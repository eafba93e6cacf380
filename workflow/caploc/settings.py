"""Typed settings: a frozen dataclass says once what a key is, for code, schema and reader.

A field has a type, which may carry a rule of JSON Schema (``Annotated[int, Rule(minimum=1)]``), and
a line under ``Attributes:`` of its class, with unit and meaning. From these come the typed values
that the code reads (`read`) and the schema that a configuration is checked with (`schema_of`).
"""

import inspect
import re
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from caploc.records import DataError

__all__ = [
    "AnyPath",
    "Count",
    "FixedPath",
    "Id",
    "Natural",
    "Positive",
    "Rule",
    "Seed",
    "Share",
    "described",
    "lines_under",
    "plain",
    "read",
    "schema_of",
]

T = TypeVar("T")
Schema = dict[str, Any]


class Rule:
    """Words of JSON Schema that a type cannot say, e.g. ``Rule(minimum=1)``."""

    def __init__(self, **words: Any) -> None:
        self.words = words


Count = Annotated[int, Rule(minimum=1)]
Natural = Annotated[int, Rule(minimum=0)]
Seed = Natural
Positive = Annotated[float, Rule(exclusiveMinimum=0)]
Share = Annotated[float, Rule(exclusiveMinimum=0, maximum=1)]
# Path rules of `caploc.attribution.rules`: at which points, with which weights.
FixedPath = Literal["inclusive", "linspace", "left", "right", "midpoint", "gauss-legendre"]
AnyPath = Literal[
    "inclusive", "linspace", "left", "right", "midpoint", "gauss-legendre", "adaptive"
]
# $ alone lets a line break follow. File names end at 255 bytes, and ids are parts of them.
ID = r"^[a-z0-9][a-z0-9-]{0,99}$(?!\n)"
Id = Annotated[str, Rule(pattern=ID)]

_TYPES = {int: "integer", float: "number", str: "string", bool: "boolean", NoneType: "null"}


def read(kind: type[T], values: Mapping[str, Any]) -> T:
    """An instance of a dataclass from plain values, as JSON or YAML have them.

    Args:
        kind: frozen dataclass; its fields may be dataclasses, and tuples or dicts of them.
        values: by the names of the fields; a field with a default may be left out.

    Raises:
        DataError: a key is missing or unknown.
    """
    known = {f.name: f for f in fields(cast(Any, kind))}
    unknown = sorted(values.keys() - known)
    missing = [
        name for name, f in known.items()
        if name not in values and f.default is MISSING and f.default_factory is MISSING
    ]  # fmt: skip
    if unknown or missing:
        what = f"unknown {unknown[0]!r}" if unknown else f"{missing[0]!r} is missing"
        raise DataError(f"settings of {kind.__name__}: {what}; expected {', '.join(known)}")
    hints = _hints(cast(Any, kind))
    return kind(**{name: _value(hints[name], value) for name, value in values.items()})


def plain(settings: Any) -> dict[str, Any]:
    """A dataclass as nested dicts and lists, to be written as JSON."""
    return _listed(asdict(settings))


def schema_of(kind: type) -> Schema:
    """JSON Schema of a dataclass, unknown keys refused.

    A field without a default is required. One of type ``X | None`` may be left out and then has no
    value; ``Annotated[X | None, Rule(...)]`` may be null in the configuration too.
    """
    hints, texts = _hints(kind), described(kind)
    properties = {}
    required = []
    for f in fields(kind):
        found = _schema(_without_none(hints[f.name])) | {"description": texts[f.name]}
        if f.default is MISSING and f.default_factory is MISSING:
            required.append(f.name)
        elif f.default_factory is not MISSING:
            found["default"] = _default(f.default_factory())
        elif f.default is not None or _without_none(hints[f.name]) is hints[f.name]:
            found["default"] = _listed(f.default)
        properties[f.name] = found
    summary = inspect.cleandoc(kind.__doc__ or "").partition("\n\nAttributes:\n")[0]
    schema: Schema = {
        "description": " ".join(summary.split()), "type": "object", "additionalProperties": False,
        "properties": properties,
    }  # fmt: skip
    return schema | ({"required": required} if required else {})


def described(kind: type) -> dict[str, str]:
    """The line of each field under ``Attributes:`` of its class, or of one that it inherits from.

    Raises:
        ValueError: a field has no line.
    """
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        found |= lines_under("Attributes:", one.__doc__ or "")
    missing = [f.name for f in fields(kind) if f.name not in found]
    if missing:
        raise ValueError(f"{kind.__name__}: no line about {missing[0]} under Attributes")
    return found


def lines_under(heading: str, text: str) -> dict[str, str]:
    """The line of each name in a part of a docstring, e.g. ``Attributes:`` or ``Args:``."""
    part = re.split(r"\n\n[A-Z]", inspect.cleandoc(text).partition(f"{heading}\n")[2])[0]
    found = re.findall(r"^    (\w+): (.*(?:\n        .*)*)", part, flags=re.MULTILINE)
    return {name: " ".join(line.split()) for name, line in found}


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _value(hint: Any, value: Any) -> Any:
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    hint = _without_none(hint)
    if is_dataclass(hint) and isinstance(value, Mapping):
        return read(hint, value)  # type: ignore[arg-type]
    if get_origin(hint) is tuple and value is not None:
        return tuple(_value(get_args(hint)[0], item) for item in value)
    if get_origin(hint) is dict and value is not None:
        return {key: _value(get_args(hint)[1], item) for key, item in value.items()}
    return value


def _schema(hint: Any) -> Schema:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        found = _schema(inner[0])
        for rule in inner[1:]:
            found |= rule.words
        return found
    if origin in (Union, UnionType):
        parts = [_schema(part) for part in inner]
        if all(set(part) <= {"type", "minimum", "exclusiveMinimum", "maximum"} for part in parts):
            merged = {key: value for part in parts for key, value in part.items()}
            return merged | {"type": [part["type"] for part in parts]}
        return {"anyOf": parts}
    if origin is Literal:
        return {"enum": list(inner)}
    if origin is tuple:
        return {"type": "array", "items": _schema(inner[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(inner[1])}
    if is_dataclass(hint):
        assert isinstance(hint, type)
        return schema_of(hint)
    return {} if hint is Any else {"type": _TYPES[hint]}


def _without_none(hint: Any) -> Any:
    """``X`` of ``X | None``; any other type as it is."""
    inner = get_args(hint)
    if get_origin(hint) in (Union, UnionType) and len(inner) == 2 and NoneType in inner:
        return next(part for part in inner if part is not NoneType)
    return hint


def _default(value: Any) -> Any:
    """A default that only repeats those of its fields is an empty dict."""
    if not is_dataclass(value):
        return _listed(value)
    needs = any(f.default is MISSING and f.default_factory is MISSING for f in fields(value))
    kind: Any = type(value)
    return plain(value) if needs or value != kind() else {}


def _listed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _listed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_listed(item) for item in value]
    return value
