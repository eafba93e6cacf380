"""Nouns under two tasks: their plural (part 1), themselves (part 2).

The main part is the noun; worked examples alone tell the task. Both tasks are asked in two forms,
so that form, noun and task are crossed, and the answers of both tasks are nearly the same word. One
sample (prompt, then answer)::

    boat -> boats
    city -> cities
    lamp -> lamps
    road -> roads
    dog ->
     dogs
"""

import random
from collections.abc import Callable
from functools import cache

from caploc.samples.scoring import same_text
from caploc.samples.task import Answered, Task
from caploc.tasks._few_shot import RESERVED, shown_before
from caploc.tasks._words import NOUNS, plural

__all__ = ["TASK"]

_FORMS = {"0": "{x} ->", "1": "Before: {x}. After:"}
_ANSWERS: dict[str, Callable[[str], str]] = {"1": plural, "2": str}


@cache
def _population() -> tuple[Answered, ...]:
    # A plural such as "deer" would not tell the tasks apart.
    mixed = random.Random("noun tasks").sample(NOUNS, len(NOUNS))
    nouns = [noun for noun in mixed if plural(noun) != noun]
    return tuple(
        _sample(noun, part, form, nouns[:RESERVED])
        for noun in nouns[RESERVED:]
        for part in _ANSWERS
        for form in _FORMS
    )


def _sample(noun: str, part: str, form: str, reserved: list[str]) -> Answered:
    pairs = [(x, _ANSWERS[part](x)) for x in reserved]
    prompt = shown_before(noun, pairs, _FORMS[form])
    return prompt, f" {_ANSWERS[part](noun)}", {"main": noun, "part": part, "form": form}


TASK = Task(
    title="Nouns under two tasks",
    capability="language",
    score=same_text,
    generate=lambda rng: rng.choice(_population()),
    population=_population,
    is_held_out=lambda prompt, meta: True,
)
