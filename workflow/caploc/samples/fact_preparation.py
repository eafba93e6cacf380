"""From a data set to the facts of a run: usable ones, a seeded choice, everything else counted."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from caploc.records import DataError, Dropped, Fact

__all__ = ["Chosen", "choose", "usable"]


@dataclass(slots=True)
class Chosen:
    """Facts of a run.

    Attributes:
        facts: in an order that the seed decides.
        available: usable facts of the data set.
        dropped: facts left out, by reason.
        rewrites_dropped: rewrites left out of facts that were kept, by reason.
    """

    facts: list[Fact]
    available: int
    dropped: Counter[str] = field(default_factory=Counter)
    rewrites_dropped: Counter[str] = field(default_factory=Counter)


def choose(read: Iterable[Fact | Dropped], n: int, seed: int) -> Chosen:
    """Check all facts and draw `n` of the usable ones at random.

    Args:
        read: from a `FactSet`.
        n: facts wanted; fewer if there are fewer.
        seed: of the draw.

    Raises:
        DataError: none is usable.
    """
    chosen = Chosen([], 0)
    asked: set[tuple[str, str]] = set()
    ids: set[str] = set()
    for item in read:
        try:
            if isinstance(item, Dropped):
                raise item
            fact = usable(item, chosen.rewrites_dropped)
            if (fact.prompts[0], fact.object) in asked:
                raise Dropped("duplicate fact")
            if fact.fact_id in ids:
                raise Dropped("another fact has the same id")
        except Dropped as reason:
            chosen.dropped[str(reason)] += 1
            continue
        asked.add((fact.prompts[0], fact.object))
        ids.add(fact.fact_id)
        chosen.facts.append(fact)
    chosen.available = len(chosen.facts)
    if not chosen.facts:
        reasons = ", ".join(f"{n} x {reason}" for reason, n in chosen.dropped.most_common())
        raise DataError(
            f"no usable fact among {chosen.dropped.total()} records ({reasons or 'no records'}); "
            "correct the data or its `columns`"
        )
    random.Random(f"facts {seed}").shuffle(chosen.facts)
    del chosen.facts[n:]
    return chosen


def usable(fact: Fact, rewrites_dropped: Counter[str]) -> Fact:
    """The fact without rewrites that cannot be used.

    Args:
        fact: as read.
        rewrites_dropped: counts those rewrites by reason.

    Raises:
        Dropped: the fact itself cannot be used.
    """
    if not fact.object.strip():
        raise Dropped("empty object")
    if not fact.subject.strip():
        raise Dropped("empty subject")
    original = fact.prompts[0].rstrip() if fact.prompts else ""
    if not original:
        raise Dropped("empty prompt")
    if fact.subject not in original:
        raise Dropped("subject not in the prompt")
    seen = {original}
    templates = _kept(fact, fact.prompts[1:], seen, rewrites_dropped)
    paraphrases = _kept(fact, fact.paraphrases, seen, rewrites_dropped)
    return replace(
        fact,
        object=fact.object.strip(),
        new_object=fact.new_object.strip(),
        prompts=(original, *templates),
        paraphrases=paraphrases,
    )


def _kept(
    fact: Fact, texts: Sequence[str], seen: set[str], dropped: Counter[str]
) -> tuple[str, ...]:
    kept = []
    for text in (text.rstrip() for text in texts):
        if fact.subject not in text:
            dropped["rewrite without the subject"] += 1
        elif text in seen:
            dropped["rewrite equal to another prompt of the fact"] += 1
        else:
            seen.add(text)
            kept.append(text)
    return tuple(kept)
