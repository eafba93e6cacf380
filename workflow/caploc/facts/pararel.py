"""ParaRel (Elazar et al. 2021): T-REx facts, and several patterns for each of their relations.

``files``: the folder ``data`` of the published repository. Only patterns that end in the object
``[Y]`` can be completed by a decoder; the first of them in the file is the original.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from caploc.records import DataError, Dropped, Fact
from caploc.samples.fact_set import FactSet, Reading, digests, folder_of

__all__ = ["FACTS"]

_FACTS, _PATTERNS = "trex_lms_vocab", "pattern_data/graphs_json"


def _read(settings: Mapping[str, Any]) -> Reading:
    paths = folder_of("ParaRel", settings, (f"{_FACTS}/*.jsonl", f"*/{_FACTS}/*.jsonl"))
    reading = Reading([])
    for path in paths:
        patterns = path.parents[1] / _PATTERNS / path.name
        reading.sources += digests([path, patterns])
        templates = _templates(_lines(patterns))
        for row in _lines(path):
            reading.facts.append(_to_fact(path.stem, row, templates))
    return reading


def _lines(path: Path) -> list[dict[str, Any]]:
    # Not splitlines: some labels hold other line separators.
    lines = path.read_text(encoding="utf-8").split("\n")
    try:
        return [json.loads(line) for line in lines if line.strip()]
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: a line is not JSON ({error}); copy the file again") from None


def _templates(patterns: list[dict[str, Any]]) -> tuple[str, ...]:
    """Patterns up to the object, where nothing but punctuation follows it."""
    found = (re.fullmatch(r"(.*\[X\].*) \[Y\][ .]*", row["pattern"]) for row in patterns)
    return tuple(dict.fromkeys(match[1] for match in found if match))


def _to_fact(relation: str, row: Mapping[str, str], templates: tuple[str, ...]) -> Fact | Dropped:
    if not templates:
        return Dropped("no pattern of the relation ends in the object")
    return Fact(
        fact_id=f"{relation}-{row['uuid']}",
        subject=row["sub_label"],
        relation=relation,
        object=row["obj_label"],
        prompts=tuple(template.replace("[X]", row["sub_label"]) for template in templates),
    )


FACTS = FactSet("ParaRel", _read)
