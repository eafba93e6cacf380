"""zsRE (Levy et al. 2017) as packaged for model editing: questions, with one rephrasing each.

``src`` asks, ``answers`` hold the gold answer, ``alt`` is the object of an edit, ``loc`` an
unrelated question. The question without its subject stands for the relation.
"""

from collections.abc import Mapping
from typing import Any

from caploc.records import Dropped, Fact
from caploc.samples.fact_set import FactSet, Reading, Rows, read_rows, relation_of

__all__ = ["FACTS"]

_ROWS = Rows("zsRE", None, ("subject", "src", "answers", "rephrase"))


def _read(settings: Mapping[str, Any]) -> Reading:
    return read_rows(_ROWS, settings, _to_fact)


def _to_fact(index: int, row: Mapping[str, Any]) -> Fact:
    if not row["answers"]:
        raise Dropped("no answer")
    return Fact(
        fact_id=str(index),
        subject=row["subject"],
        relation=relation_of(row["src"], row["subject"]),
        object=row["answers"][0],
        prompts=(row["src"],),
        paraphrases=(row["rephrase"],) if row["rephrase"] else (),
        neighbourhood=(row["loc"],) if row.get("loc") else (),
        new_object=row.get("alt") or "",
    )


FACTS = FactSet("zsRE", _read)
