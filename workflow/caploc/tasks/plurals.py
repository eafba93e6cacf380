"""The plural of English nouns.

One sample (prompt, then answer)::

    foot -> feet
    ...
    apple ->
     apples
"""

from caploc.tasks._few_shot import few_shot_task
from caploc.tasks._words import NOUNS, plural

__all__ = ["TASK"]

TASK = few_shot_task(
    "Plurals",
    "language",
    lambda: [(noun, plural(noun)) for noun in NOUNS],
)
