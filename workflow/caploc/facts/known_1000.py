"""Known-1000: facts that GPT-2 XL completes (Meng et al. 2022), used for causal tracing.

One prompt a fact; the rewrites are prompts of other facts with the same ``relation_id``, the
subject exchanged. Many prompts were continued for one subject alone ("in the field of nuclear"),
so only templates that several facts use count.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from caploc.records import Fact
from caploc.samples.fact_set import FactSet, Reading, Rows, read_rows, text
from caploc.samples.subjects import place_of, relation_of

__all__ = ["FACTS"]

_ROWS = Rows("Known-1000", None, ("known_id", "subject", "attribute", "prompt", "relation_id"))

_LEAST_USED = 3


def _read(settings: Mapping[str, Any]) -> Reading:
    reading = read_rows(_ROWS, settings, _to_fact)
    templates: dict[str, Counter[str]] = defaultdict(Counter)
    for fact in reading.facts:
        if isinstance(fact, Fact):
            templates[fact.relation][relation_of(fact.prompts[0], fact.subject)] += 1
    for index, fact in enumerate(reading.facts):
        if isinstance(fact, Fact):
            own = relation_of(fact.prompts[0], fact.subject)
            used = templates[fact.relation].most_common()
            others = [t for t, n in used if t != own and n >= _LEAST_USED]
            filled = tuple(t.replace("{}", fact.subject, 1) for t in others)
            reading.facts[index] = replace(fact, prompts=fact.prompts + filled)
    return reading


def _to_fact(index: int, row: Mapping[str, Any]) -> Fact:
    prompt, subject = text(row, "prompt"), text(row, "subject")
    place_of(subject, prompt)
    return Fact(
        fact_id=text(row, "known_id"),
        subject=subject,
        relation=text(row, "relation_id"),
        object=text(row, "attribute"),
        prompts=(prompt,),
    )


FACTS = FactSet("Known-1000", _read)
