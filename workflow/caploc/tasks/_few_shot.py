"""Abilities of models that know English, all in one form: ``x -> y`` behind worked examples.

Since every task has the same form, form is no explanation of what they do not share.
"""

import random
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from caploc.samples.scoring import same_text
from caploc.samples.task import Answered, Capability, Task

__all__ = ["RESERVED", "SHOTS", "few_shot_task", "shown_before"]

SHOTS = 4
"""Worked examples in front of each question."""
RESERVED = 12
"""Pairs that are only ever worked examples, so none is asked for."""


def few_shot_task(
    title: str,
    capability: Capability,
    pairs: Callable[[], Sequence[tuple[str, str]]],
    prompt: str = "{x} ->",
    **fields: Any,
) -> Task:
    """A task of questions and answers; no model is trained on it here.

    Args:
        title: name for the report.
        capability: what answering takes.
        pairs: all questions with their answers, each question once.
        prompt: template of a question with the place ``{x}``.
        fields: further fields of `Task`.
    """

    @cache
    def population() -> tuple[Answered, ...]:
        given = pairs()
        mixed = random.Random("few shot").sample(given, len(given))
        return tuple(_sample(x, y, prompt, mixed[:RESERVED]) for x, y in mixed[RESERVED:])

    return Task(
        title=title,
        capability=capability,
        generate=lambda rng: rng.choice(population()),
        population=population,
        is_held_out=lambda prompt, meta: True,
        **{"score": same_text, **fields},
    )


def shown_before(x: str, examples: Sequence[tuple[str, str]], prompt: str) -> str:
    """A question behind `SHOTS` worked examples, which the question itself draws.

    Args:
        x: what is asked for.
        examples: questions and answers to draw from.
        prompt: template of a question with the place ``{x}``.
    """
    shown = random.Random(f"few shot {x}").sample(examples, SHOTS)
    return "\n".join([*(f"{prompt.format(x=a)} {b}" for a, b in shown), prompt.format(x=x)])


def _sample(x: str, y: str, prompt: str, examples: Sequence[tuple[str, str]]) -> Answered:
    return shown_before(x, examples, prompt), f" {y}", {}
