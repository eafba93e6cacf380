"""Verbs under two tasks: their past tense (part 1), themselves in capital letters (part 2).

The main part is the verb; worked examples alone tell the task. Both tasks are asked in two forms,
so that form, verb and task are crossed. One sample (prompt, then answer)::

    want -> wanted
    go -> went
    open -> opened
    rain -> rained
    walk ->
     walked
"""

import random
from functools import cache

from caploc.samples.scoring import same_text
from caploc.samples.task import Answered, Task
from caploc.tasks._few_shot import RESERVED, shown_before
from caploc.tasks._words import VERBS, past_tense

__all__ = ["TASK"]

_FORMS = {"0": "{x} ->", "1": "Before: {x}. After:"}
_ANSWERS = {"1": past_tense, "2": str.upper}


@cache
def _population() -> tuple[Answered, ...]:
    verbs = random.Random("verb tasks").sample(VERBS, len(VERBS))
    return tuple(
        _sample(verb, part, form, verbs[:RESERVED])
        for verb in verbs[RESERVED:]
        for part in _ANSWERS
        for form in _FORMS
    )


def _sample(verb: str, part: str, form: str, reserved: list[str]) -> Answered:
    pairs = [(x, _ANSWERS[part](x)) for x in reserved]
    prompt = shown_before(verb, pairs, _FORMS[form])
    return prompt, f" {_ANSWERS[part](verb)}", {"main": verb, "part": part, "form": form}


TASK = Task(
    title="Verbs under two tasks",
    capability="language",
    score=same_text,
    generate=lambda rng: rng.choice(_population()),
    population=_population,
    is_held_out=lambda prompt, meta: True,
)
