"""Configuration files as data: read without running anything, and of bounded size.

Snakemake takes a file with the key ``__use_yte__`` for a program and runs it. Nothing here does.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from caploc.discretion import discreet
from caploc.records import DataError

__all__ = ["check_plain", "read_files", "refuse_programs", "shown"]

_PROGRAM = "__use_yte__"
_MOST_BYTES = 4 * 2**20
_DEEPEST, _MOST_VALUES = 20, 100_000
_LARGEST = 2**31 - 1
# Line breaks and tabs are ordinary; single surrogates cannot be written to any file.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def read_files(paths: Sequence[Path]) -> dict[str, Any]:
    """Configuration files, each laid over those before it, as Snakemake does.

    Raises:
        DataError: a file that cannot be read, is no YAML, a program, or too large.
    """
    config: dict[str, Any] = {}
    for path in paths:
        found = _read(path)
        check_plain(found)
        config = _merged(config, found)
    return config


def refuse_programs(paths: Iterable[Path]) -> None:
    """Raise `DataError` if one of the files is a program for Snakemake; see `read_files`."""
    for path in paths:
        if path.is_file() and path.stat().st_size <= _MOST_BYTES:
            # The key may be written with escapes; files with neither need not be parsed.
            content = path.read_bytes()
            if b"__use_yte" in content or b"\\" in content:
                _read(path)


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        if path.exists() and (not path.is_file() or path.stat().st_size > _MOST_BYTES):
            raise DataError(f"{path}: no configuration; expected a file of at most 4 MiB")
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); run this in the folder of the Snakefile, "
            "with a file such as config/llama2-7b.yaml"
        ) from None
    # Bytes that are no UTF-8, numbers of thousands of digits, thousands of brackets.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(found, dict):
        raise DataError(f"{path}: holds no settings; expected keys such as run: and models:")
    if _PROGRAM in found:
        raise DataError(
            f"{path}: has the key {_PROGRAM}, with which Snakemake runs Python code that stands in "
            "it; take the key out, and read what the file would have done"
        )
    return found


def _merged(base: Any, over: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return base | {key: _merged(base.get(key), value) for key, value in over.items()}


def check_plain(config: Any) -> None:
    """Refuse what no configuration of ours holds, before anything else looks at it.

    Raises:
        DataError: keys that are not text, tokens, numbers beyond 2**31 - 1 or not finite, control
            characters, too many values or levels (anchors that repeat or hold themselves).
    """
    for n, (where, value) in enumerate(_values(config, "", 0)):
        if n > _MOST_VALUES:
            raise DataError(f"config: more than {_MOST_VALUES} values; do anchors repeat them?")
        place = where[:80] or "top level"
        if isinstance(value, str):
            _check_text(value, place)
        elif isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    raise DataError(
                        f"config {place}: key {shown(key)} is not text (YAML reads no/yes/on/off "
                        "and bare numbers as other types); put it in quotes"
                    )
                _check_text(key, place)
        elif isinstance(value, int | float) and not -_LARGEST <= value <= _LARGEST:
            raise DataError(
                f"config {place}: found {shown(value)}; expected a number of at most {_LARGEST}"
            )


def _values(value: Any, where: str, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > _DEEPEST:
        raise DataError(
            f"config {where[:80]}: more than {_DEEPEST} levels; does an anchor hold itself?"
        )
    yield where, value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _values(inner, f"{where}.{key}".lstrip("."), depth + 1)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from _values(inner, where, depth + 1)


def _check_text(text: str, where: str) -> None:
    if discreet(text) != text:
        raise DataError(
            f"config {discreet(where)}: holds a Hugging Face access token, and the configuration "
            "is kept with the results; take it out and put it into the environment variable "
            "HF_TOKEN"
        )
    if found := _UNPRINTABLE.search(text):
        raise DataError(
            f"config {where}: found {shown(text)} with the control character "
            f"U+{ord(found[0]):04X}; take it out"
        )


def shown(value: Any) -> str:
    """A value of a configuration for a message, 80 characters at most."""
    try:
        text = json.dumps(value, default=str)
    except (ValueError, TypeError):  # whole numbers of thousands of digits, keys of other types
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."
