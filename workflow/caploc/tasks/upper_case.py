"""Words in capital letters: the words of `past_tense`, another ability.

One sample (prompt, then answer)::

    want -> WANT
    ...
    walk ->
     WALK
"""

from caploc.tasks._few_shot import few_shot_task
from caploc.tasks._words import VERBS

__all__ = ["TASK"]


def _score(answer: str, completion: str) -> bool:
    return completion.split() == answer.split()


TASK = few_shot_task(
    "Upper case",
    "text",
    lambda: [(verb, verb.upper()) for verb in VERBS],
    score=_score,
)
