"""The comparative of English adjectives.

One sample (prompt, then answer)::

    good -> better
    ...
    small ->
     smaller
"""

from caploc.tasks._few_shot import few_shot_task
from caploc.tasks._words import ADJECTIVES, comparative

__all__ = ["TASK"]

TASK = few_shot_task(
    "Comparatives",
    "language",
    lambda: [(word, comparative(word)) for word in ADJECTIVES],
)
