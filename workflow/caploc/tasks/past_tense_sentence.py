"""The past tense in another form, of verbs that `past_tense` does not have.

One sample (prompt, then answer)::

    Every day I want. Yesterday I wanted
    ...
    Every day I walk. Yesterday I
     walked
"""

from caploc.tasks._few_shot import few_shot_task
from caploc.tasks._words import OTHER_VERBS, past_tense

__all__ = ["TASK"]

TASK = few_shot_task(
    "Past tense in a sentence",
    "language",
    lambda: [(verb, past_tense(verb)) for verb in OTHER_VERBS],
    prompt="Every day I {x}. Yesterday I",
)
