"""zsRE (Levy et al. 2017) as packaged for model editing: questions, with one rephrasing each.

``src`` asks, ``answers`` hold the gold answer, ``alt`` is the object of an edit, ``loc`` an
unrelated question. The question without its subject stands for the relation.
"""

from collections.abc import Mapping
from typing import Any

from caploc.records import Fact
from caploc.samples.fact_set import FactSet, Reading, Rows, read_rows, text, texts
from caploc.samples.subjects import relation_of

__all__ = ["FACTS"]

_ROWS = Rows("zsRE", None, ("subject", "src", "answers", "rephrase"))


def _read(settings: Mapping[str, Any]) -> Reading:
    return read_rows(_ROWS, settings, _to_fact)


def _to_fact(index: int, row: Mapping[str, Any]) -> Fact:
    question, subject = text(row, "src"), text(row, "subject")
    return Fact(
        fact_id=str(index),
        subject=subject,
        relation=relation_of(question, subject),
        object=text(row, "answers"),
        prompts=(question,),
        paraphrases=texts(row, "rephrase"),
        neighbourhood=texts(row, "loc"),
        new_object=next(iter(texts(row, "alt")), ""),
    )


FACTS = FactSet("zsRE", _read)
