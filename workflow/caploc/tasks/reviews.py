"""Invented reviews; the answer is ``positive`` or ``negative``.

``not`` turns a word round. A third of the reviews praise one thing and blame another; the last
clause decides three times in four, so nobody can be right more often than `CEILING`. One sample
(prompt, then answer)::

    The plot was not dull, but the cast was clumsy.
    Opinion:
     negative
"""

import random

from caploc.samples.scoring import same_first_word
from caploc.samples.task import Answered, Task

__all__ = ["CEILING", "TASK"]

_LABELS = ("negative", "positive")
_WORDS = {
    "positive": ("superb", "clever", "charming", "lively", "witty", "elegant", "gripping"),
    "negative": ("dull", "clumsy", "awful", "tedious", "silly", "bland", "dreadful"),
}  # fmt: skip
_ASPECTS = (
    "plot",
    "cast",
    "ending",
    "script",
    "camera",
    "pace",
    "score",
    "dialogue",
    "scenery",
    "humour",
)
_VERBS = ("was", "remained", "looked", "proved")
_DEGREE = ("", "really ", "truly ", "fairly ", "utterly ")
_SHARE_MIXED = 1 / 3
_LAST_DECIDES = 0.75
CEILING = 1 - _SHARE_MIXED * (1 - _LAST_DECIDES)


def _clause(rng: random.Random, aspect: str, label: str) -> str:
    negated = rng.random() < 0.3
    word = rng.choice(_WORDS[_opposite(label) if negated else label])
    how = "not " if negated else rng.choice(_DEGREE)
    return f"the {aspect} {rng.choice(_VERBS)} {how}{word}"


def _opposite(label: str) -> str:
    return _LABELS[1 - _LABELS.index(label)]


def _generate(rng: random.Random) -> Answered:
    last = rng.choice(_LABELS)
    aspects = rng.sample(_ASPECTS, 2)
    mixed = rng.random() < _SHARE_MIXED
    if mixed:
        clauses = [_clause(rng, aspects[0], _opposite(last)), _clause(rng, aspects[1], last)]
        text = f"{clauses[0]}, but {clauses[1]}"
        label = last if rng.random() < _LAST_DECIDES else _opposite(last)
    else:
        label = last
        text = f"{_clause(rng, aspects[0], label)} and {_clause(rng, aspects[1], label)}"
    prompt = f"{text[0].upper()}{text[1:]}.\nOpinion:"
    return prompt, f" {label}", {"label": label, "mixed": str(mixed).lower()}


TASK = Task(
    title="Reviews",
    capability="language",
    score=same_first_word,
    generate=_generate,
    form="label",
    labels=_LABELS,
)
