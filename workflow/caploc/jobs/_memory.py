"""What earlier calls found out, kept beside Snakemake's own records: it saves time only."""

import atexit
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["memory"]

# Snakemake's folder of the working directory; without it nothing is remembered.
_FOLDER = Path(".snakemake")
_MOST = 2_000


@cache
def memory(name: str) -> dict[str, Any]:
    """A dictionary that the next call in the same folder finds as this one leaves it.

    Args:
        name: of the file. One that is damaged, or has grown too long, is begun anew.
    """
    path = _FOLDER / f"caploc-{name}.json"
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    found = known if isinstance(known, dict) and len(known) < _MOST else {}
    atexit.register(_save, found, dict(found), path)
    return found


def _save(found: dict[str, Any], before: dict[str, Any], path: Path) -> None:
    if found == before or not path.parent.is_dir():
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(json.dumps(found), encoding="utf-8")
        os.replace(temporary, path)
    except OSError:  # a folder that cannot be written costs time only
        temporary.unlink(missing_ok=True)
