"""ParaRel (Elazar et al. 2021): T-REx facts, and several patterns for each of their relations.

``files``: the folder ``data`` of the published repository. Only patterns that end in the object
``[Y]`` can be completed by a decoder; the first of them in the file is the original.
"""

import re
from collections.abc import Mapping
from typing import Any

from caploc.records import Dropped, Fact
from caploc.samples.fact_set import FactSet, Reading, digests, folder_of, text
from caploc.samples.local_files import read_file

__all__ = ["FACTS"]

_FACTS, _PATTERNS = "trex_lms_vocab", "pattern_data/graphs_json"


def _read(settings: Mapping[str, Any]) -> Reading:
    paths = folder_of("ParaRel", settings, (f"{_FACTS}/*.jsonl", f"*/{_FACTS}/*.jsonl"))
    reading = Reading([])
    for path in paths:
        patterns = path.parents[1] / _PATTERNS / path.name
        reading.sources += digests([path, patterns])
        templates = _templates(read_file(patterns, "jsonl", None).rows)
        for row in read_file(path, "jsonl", None):
            reading.facts.append(_to_fact(path.stem, row, templates))
    return reading


def _templates(patterns: list[dict[str, Any]]) -> tuple[str, ...]:
    """Patterns up to the object, where nothing but punctuation follows it."""
    texts = [row.get("pattern") for row in patterns]
    found = (re.fullmatch(r"(.*\[X\].*) \[Y\][ .]*", t) for t in texts if isinstance(t, str))
    return tuple(dict.fromkeys(match[1] for match in found if match))


def _to_fact(relation: str, row: Mapping[str, Any], templates: tuple[str, ...]) -> Fact | Dropped:
    if not templates:
        return Dropped("no pattern of the relation ends in the object")
    try:
        name, subject = text(row, "uuid"), text(row, "sub_label")
        answer = text(row, "obj_label")
    except Dropped as reason:
        return reason
    return Fact(
        fact_id=f"{relation}-{name}",
        subject=subject,
        relation=relation,
        object=answer,
        prompts=tuple(template.replace("[X]", subject) for template in templates),
    )


FACTS = FactSet("ParaRel", _read)
