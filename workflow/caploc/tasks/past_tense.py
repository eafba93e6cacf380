"""The past tense of English verbs, for models that know English.

One sample (prompt, then answer)::

    want -> wanted
    go -> went
    open -> opened
    rain -> rained
    walk ->
     walked
"""

from caploc.tasks._few_shot import few_shot_task
from caploc.tasks._words import VERBS, past_tense

__all__ = ["TASK"]

TASK = few_shot_task(
    "Past tense",
    "language",
    lambda: [(verb, past_tense(verb)) for verb in VERBS],
)
