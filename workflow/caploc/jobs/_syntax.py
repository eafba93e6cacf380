"""Imports of a source file, and a digest that comments, docstrings and layout do not change.

Parsing some hundred files takes a large part of a dry run, so what was found is remembered beside
Snakemake's own records, under the digest of the file's bytes: an edited file is never mistaken.
"""

import ast
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from caploc.jobs._memory import memory

__all__ = ["Source", "read_source"]


@dataclass(frozen=True, slots=True)
class Source:
    """One source file.

    Attributes:
        imports: dotted names that it imports absolutely, functions and classes included.
        digest: SHA-256 of its syntax tree, 64 hexadecimal digits.
    """

    imports: frozenset[str]
    digest: str


def read_source(path: Path) -> Source:
    """Imports and digest of a Python file.

    Raises:
        SyntaxError: it is not Python.
    """
    content = path.read_bytes()
    key = hashlib.sha256(_own_bytes() + content).hexdigest()
    known = memory("sources")
    if key not in known:
        tree = ast.parse(content, filename=str(path))
        digest = hashlib.sha256(json.dumps(_plain(tree)).encode()).hexdigest()
        known[key] = [digest, *sorted(_imports(tree))]
    digest, *imports = known[key]
    return Source(frozenset(imports), digest)


def _imports(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


@cache
def _own_bytes() -> bytes:
    """This file: what was remembered by another version of it is not used."""
    return Path(__file__).read_bytes()


def _plain(node: Any) -> Any:
    """A syntax tree as nested lists: no positions, no docstrings, no empty fields.

    `ast.dump` is not used: its text differs between Python versions (3.12 added `type_params`, 3.13
    leaves empty lists out). Empty fields are dropped here for the same reason.
    """
    if isinstance(node, ast.AST):
        fields = []
        for name, value in ast.iter_fields(node):
            if name == "body" and isinstance(node, _DOCUMENTED) and _is_docstring(value):
                value = value[1:]
            if name == "values" and isinstance(node, ast.JoinedStr):
                # Python 3.12 leaves an empty text after a nested field in a format.
                value = [part for part in value if getattr(part, "value", None) != ""]
            if value is None or value == [] or name in ("kind", "type_comment"):
                continue
            fields.append([name, _plain(value)])
        return [type(node).__name__, fields]
    if isinstance(node, list):
        return [_plain(item) for item in node]
    return repr(node)


_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _is_docstring(body: list[ast.stmt]) -> bool:
    return bool(
        body
        and isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Constant)
        and isinstance(body[0].value.value, str)
    )
