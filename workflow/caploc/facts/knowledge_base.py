"""The invented knowledge base that the embedded model is trained on (`caploc.tasks.facts`).

The original prompt is one that training showed; the first rewrite is one that it did not show, so a
right answer to both means that the fact was learned and not the sentence. An edit would write
another object of the relation; neighbours are subjects with the same object.
"""

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from caploc.records import Fact
from caploc.samples.fact_set import FactSet, Reading
from caploc.tasks.facts import OBJECTS, TASK, TEMPLATES, knowledge

__all__ = ["FACTS"]


def _read(settings: Mapping[str, Any]) -> Reading:
    facts: list[Fact] = []
    originals: dict[tuple[str, str], str] = {}
    for (subject, relation), answer in knowledge().items():
        prompts: dict[bool, list[str]] = {False: [], True: []}
        for phrasing, template in enumerate(TEMPLATES[relation]):
            meta = {"subject": subject, "relation": relation, "phrasing": str(phrasing)}
            prompt = template.format(s=subject)
            prompts[TASK.is_held_out(prompt, meta)].append(prompt)
        shown, held_out = prompts[False], prompts[True]
        ordered = [shown[0], *held_out, *shown[1:]]
        originals[subject, relation] = shown[0]
        others = [o for o in OBJECTS[relation] if o != answer]
        facts.append(
            Fact(
                f"{subject}-{relation}",
                subject,
                relation,
                answer,
                tuple(ordered),
                new_object=random.Random(f"new object {subject} {relation}").choice(others),
            )
        )
    for i, fact in enumerate(facts):
        same = [
            originals[other.subject, other.relation]
            for other in facts
            if (other.relation, other.object) == (fact.relation, fact.object) and other is not fact
        ]
        facts[i] = replace(fact, neighbourhood=tuple(same))
    return Reading(list(facts))


FACTS = FactSet("Invented facts", _read)
