"""What a job is told, by a file where it is too long for a command line.

Linux takes 128 KiB as one argument, and a job is one: the command that a shell runs. A run of some
hundred data sets has longer settings. The file is named by its content, so that other settings are
another text for Snakemake, too.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from caploc.files.atomic import atomic_path

__all__ = ["handed", "received"]

_FOLDER = Path(".snakemake") / "caploc-told"
_MOST = 40_000


def handed(words: Sequence[str]) -> list[str]:
    """The words, or ``@<file>`` with each on a line if they are long; argparse reads that itself.

    Args:
        words: in one line each.
    """
    text = "\n".join(words)
    if len(text.encode()) <= _MOST:
        return list(words)
    path = _FOLDER / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.txt"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return [f"@{path}"]


def received(word: str) -> str:
    """The single word behind what `handed` gave."""
    return Path(word[1:]).read_text(encoding="utf-8") if word.startswith("@") else word
