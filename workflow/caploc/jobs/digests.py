"""Digests of settings, code and files: what a result depends on.

Snakemake sees a shell command, not the modules it imports. `code_digest` follows the imports inside
this package and hashes their syntax trees, without comments, docstrings and line numbers, so that
an edited comment reruns nothing and an edited formula reruns exactly the stages that execute it.
Only the standard library is used: the Snakefile imports this module on every call.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from caploc.jobs._memory import memory
from caploc.jobs._syntax import Source, read_source
from caploc.records import DataError

__all__ = [
    "canonical_json",
    "code_digest",
    "content_digest",
    "file_digest",
    "imported_modules",
    "weights_digest",
]

_PACKAGE = "caploc"
_ROOT = Path(__file__).resolve().parents[1]
_NS_SETTLED = 2_000_000_000


def canonical_json(value: Any) -> str:
    """`value` as JSON with sorted keys and no spaces: equal settings give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def file_digest(path: Path) -> str:
    """SHA-256 of the content of a file, 64 hexadecimal digits.

    Raises:
        DataError: no such file.
    """
    try:
        status = path.stat()
        # A file that was written just now could change once more without a new time.
        remembered = time.time_ns() - status.st_ctime_ns > _NS_SETTLED
        state = (status.st_ino, status.st_size, status.st_ctime_ns)
        return (_digest if remembered else _digest.__wrapped__)(path.resolve(), *state)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None


@cache
def _digest(path: Path, inode: int, size: int, time: int) -> str:
    """Digest of a file in this state: a job asks several times for the same large inputs."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def content_digest(path: Path, *, deep: bool = False) -> str:
    """Digest of a file or folder that a user may edit, for settings of jobs that read it.

    Files are not read again while inode, size and time of the last change, which nobody can set,
    stay the same: a dry run stays fast beside gigabytes of weights. What a job reads is digested by
    `file_digest`, which forgets.

    Args:
        path: a file, or a folder whose files count by name and content; ``~`` is expanded.
        deep: also files of folders in it.

    Returns:
        16 hexadecimal digits; "" if nothing is there.
    """
    path = path.expanduser()
    inside = path.rglob("*") if deep else path.glob("*")
    # Neither devices nor pipes, which have no end.
    files = sorted(p for p in (inside if path.is_dir() else [path]) if p.is_file())
    total = hashlib.sha256()
    for file in files:
        try:
            status = file.stat()
        except OSError:
            return ""
        state = f"{file.resolve()}:{status.st_ino}:{status.st_size}:{status.st_ctime_ns}"
        known = memory("contents")
        if state not in known:
            known[state] = file_digest(file)
        name = file.relative_to(path).as_posix() if path.is_dir() else ""
        total.update(f"{name}:{known[state]}\n".encode())
    return total.hexdigest()[:16] if files else ""


def weights_digest(files: Mapping[str, str]) -> str:
    """Digest of the weights of a model: which model it is, whatever its folder is called.

    Args:
        files: SHA-256 of each file of its folder by name, as manifests list them.

    Returns:
        64 hexadecimal digits over names and digests of the weight files alone.

    Raises:
        DataError: none of the files holds weights.
    """
    weights = sorted(n for n in files if n.endswith(".safetensors"))
    if not weights:
        raise DataError(f"no weight file among {sorted(files)}; expected *.safetensors")
    text = "".join(f"{name}:{files[name]}\n" for name in weights)
    return hashlib.sha256(text.encode()).hexdigest()


def code_digest(*modules: str, files: Iterable[Path] = ()) -> str:
    """Digest of the code that runs when `modules` run.

    Args:
        modules: dotted names inside the package, e.g. ``caploc.stages.build_mask``; name plug-ins
            too, because they are imported by name at run time and cannot be followed.
        files: other files that decide what the code does (templates), hashed byte by byte.

    Returns:
        16 hexadecimal digits, equal for equal code on any machine and Python 3.11 to 3.13.
    """
    total = _modules_hash(frozenset(modules)).copy()
    for path in sorted(files):
        total.update(f"{path.name}:{file_digest(path)}\n".encode())
    return total.hexdigest()[:16]


# Hundreds of jobs of a workflow run a few dozen different sets of modules.
@cache
def _modules_hash(modules: frozenset[str]) -> "hashlib._Hash":
    total = hashlib.sha256()
    for module in sorted(imported_modules(*modules)):
        total.update(f"{module}:{_facts(module).digest}\n".encode())
    return total


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


@cache
def _sources() -> dict[str, Path]:
    """File of every module of the package, by its dotted name."""
    found = {}
    for path in _ROOT.rglob("*.py"):
        parts = [_PACKAGE, *path.relative_to(_ROOT).with_suffix("").parts]
        # A package's __init__ holds only its contract (or, at the top, lazy exports), no behaviour.
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def _facts(module: str) -> Source:
    path = _sources().get(module)
    if path is None:
        raise ValueError(f"no module {module!r} in {_ROOT}")
    return read_source(path)


@cache
def _imports(module: str) -> frozenset[str]:
    return _facts(module).imports & _sources().keys() - {_PACKAGE}
