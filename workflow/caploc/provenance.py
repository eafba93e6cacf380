"""Where a file came from: digests of settings, code and inputs, and the job that made it.

Snakemake sees a shell command, not the modules it imports. `code_digest` follows the imports inside
this package and hashes their syntax trees, without comments, docstrings and line numbers, so that
an edited comment reruns nothing and an edited formula reruns exactly the stages that execute it.
Only the standard library is used: the Snakefile imports this module on every call.
"""

import ast
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from caploc.records import DataError

__all__ = ["Job", "canonical_json", "code_digest", "file_digest", "imported_modules"]

_PACKAGE = "caploc"
_ROOT = Path(__file__).resolve().parent


def canonical_json(value: Any) -> str:
    """`value` as JSON with sorted keys and no spaces: equal settings give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def file_digest(path: Path) -> str:
    """SHA-256 of the content of a file, 64 hexadecimal digits.

    Raises:
        DataError: no such file.
    """
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None


def code_digest(*modules: str, files: Iterable[Path] = ()) -> str:
    """Digest of the code that runs when `modules` run.

    Args:
        modules: dotted names inside the package, e.g. ``caploc.stages.build_mask``; name plug-ins
            too, because they are imported by name at run time and cannot be followed.
        files: other files that decide what the code does (templates), hashed byte by byte.

    Returns:
        16 hexadecimal digits, equal for equal code on any machine and Python 3.11 to 3.13.
    """
    total = hashlib.sha256()
    for module in sorted(imported_modules(*modules)):
        total.update(f"{module}:{_module_digest(module)}\n".encode())
    for path in sorted(files):
        total.update(f"{path.name}:{file_digest(path)}\n".encode())
    return total.hexdigest()[:16]


def imported_modules(*modules: str) -> set[str]:
    """All modules of the package that `modules` import, directly or not, themselves included."""
    found: set[str] = set()
    todo = list(modules)
    while todo:
        module = todo.pop()
        if module not in found:
            found.add(module)
            todo.extend(_imports(module))
    return found


def _source(module: str) -> Path | None:
    path = _ROOT.joinpath(*module.split(".")[1:])
    if path.with_suffix(".py").is_file():
        return path.with_suffix(".py")
    # A package's __init__ holds only its contract (or, at the top, lazy exports), never behaviour.
    return path / "__init__.py" if (path / "__init__.py").is_file() else None


@cache
def _tree(module: str) -> ast.Module:
    path = _source(module)
    if path is None:
        raise ValueError(f"no module {module!r} in {_ROOT}")
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@cache
def _imports(module: str) -> frozenset[str]:
    names: set[str] = set()
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    own = {n for n in names if n.startswith(f"{_PACKAGE}.")}
    return frozenset(n for n in own if _source(n) is not None)


@cache
def _module_digest(module: str) -> str:
    return hashlib.sha256(json.dumps(_plain(_tree(module))).encode()).hexdigest()


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


@dataclass(frozen=True, slots=True)
class Job:
    """One run of one stage, as the workflow asked for it.

    Attributes:
        stage: module name under ``caploc.stages``.
        spec: exactly the settings this stage consumes, from the config.
        code: digest of the code, from `code_digest`.
        inputs: named input files; a name may hold several.
        outputs: named files to make.
        threads: processor threads the job may use; changes the speed only.
    """

    stage: str
    spec: dict[str, Any]
    code: str
    inputs: dict[str, list[Path]]
    outputs: dict[str, Path]
    threads: int = 1

    def input(self, name: str) -> Path:
        """The single input file called `name`."""
        (path,) = self.inputs[name]
        return path

    def origin(self) -> dict[str, Any]:
        """What is stored with every output: stage, settings, code and digests of the inputs."""
        return {
            "stage": self.stage,
            "spec": self.spec,
            "code": self.code,
            "inputs": {
                name: [file_digest(path) for path in paths] for name, paths in self.inputs.items()
            },
        }
