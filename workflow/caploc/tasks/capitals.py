"""The capital of a country.

One sample (prompt, then answer)::

    France -> Paris
    ...
    Japan ->
     Tokyo
"""

from caploc.tasks._few_shot import few_shot_task
from caploc.tasks._words import CAPITALS

__all__ = ["TASK"]

TASK = few_shot_task(
    "Capitals",
    "knowledge",
    lambda: list(CAPITALS.items()),
)
