"""What a plug-in says of itself, read from its text without importing it.

A configuration is checked on every call of Snakemake; importing the plug-ins it names would load
torch first. So their settings are read where they stand: a setting is a keyword-only parameter of
a function of the plug-in. Its annotation is a type of `caploc.settings` or a plain one, its default
is a literal, and its line under ``Args:`` says what it is.
"""

import ast
import inspect
import typing
from dataclasses import field, make_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from caploc import plugins, settings
from caploc.records import DataError

__all__ = ["functions", "parameters", "passes_on", "settings_class"]

# Parameters that are never settings: the run gives them.
GIVEN = ("seed", "memory_mib")
_NAMES = {name: getattr(settings, name) for name in settings.__all__} | {
    name: getattr(typing, name) for name in ("Annotated", "Any", "Literal")
}


@cache
def _tree(kind: str, name: str) -> ast.Module:
    path = Path(__file__).parent.joinpath(*plugins.module_name(kind, name).split(".")[1:])
    path = path.with_suffix(".py")
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise DataError(f"{path}, line {error.lineno}: {error.msg}; correct the file") from error


@cache
def _functions(kind: str, name: str) -> dict[str, ast.FunctionDef]:
    return {n.name: n for n in _tree(kind, name).body if isinstance(n, ast.FunctionDef)}


def functions(kind: str, name: str) -> frozenset[str]:
    """Names of the functions that a plug-in defines.

    Raises:
        DataError: no such plug-in, or its file is no Python.
    """
    return frozenset(_functions(kind, name))


def parameters(kind: str, name: str, function: str) -> frozenset[str]:
    """Keyword-only parameters of a function, those that the run gives included; none without it.

    Raises:
        DataError: as `functions`.
    """
    found = _functions(kind, name).get(function)
    return frozenset(a.arg for a in found.args.kwonlyargs) if found else frozenset()


def passes_on(kind: str, name: str, function: str) -> bool:
    """Does a function of a plug-in take further settings (``**settings``)?

    Raises:
        DataError: as `functions`.
    """
    return _functions(kind, name)[function].args.kwarg is not None


@cache
def settings_class(kind: str, name: str, of: tuple[str, ...]) -> type:
    """The settings of some functions of a plug-in as a frozen dataclass, see `caploc.settings`.

    Args:
        kind: of the plug-in.
        name: of the plug-in.
        of: functions; of a setting that two of them take, the first says what it is. Those that
            the plug-in does not define are passed over.

    Raises:
        DataError: as `functions`; or an annotation or default that is not to be understood alone.
    """
    fields: dict[str, Any] = {}
    lines: list[str] = []
    for function in of:
        node = _functions(kind, name).get(function)
        if node is None:
            continue
        told = settings.lines_under("Args:", ast.get_docstring(node) or "")
        for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
            key = argument.arg
            if key in GIVEN or key in fields:
                continue
            where = f"{kind} plug-in {name!r}, parameter {key!r} of {function}"
            hint = Any if argument.annotation is None else _value(argument.annotation, where)
            fields[key] = (key, hint) + (
                () if default is None else (field(default=_value(default, where)),)
            )
            lines.append(f"    {key}: {told.get(key, 'see the file')}")
    title = inspect.cleandoc(ast.get_docstring(_tree(kind, name)) or name).partition("\n")[0]
    # Fields without a default stand first, as a dataclass asks.
    ordered = sorted(fields.values(), key=len)
    found = make_dataclass(name.title().replace("_", ""), ordered, frozen=True)
    found.__doc__ = "\n".join([title, "", "Attributes:", *lines])
    return found


def _value(node: ast.expr, where: str) -> Any:
    code = compile(ast.Expression(node), where, "eval")
    try:
        return eval(code, dict(_NAMES))
    except NameError as error:
        raise DataError(
            f"{where}: {ast.unparse(node)} needs {error.name!r}; expected literals, built-in types "
            f"and {', '.join(sorted(_NAMES))}"
        ) from error
