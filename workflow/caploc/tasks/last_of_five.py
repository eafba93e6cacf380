"""The last of five words: copying, which attention does.

One sample (prompt, then answer)::

    apple lamp road dog river -> river
    ...
    door cloud shirt train piano ->
     piano
"""

import random

from caploc.tasks._few_shot import few_shot_task
from caploc.tasks._words import NOUNS

__all__ = ["TASK"]


def _pairs() -> list[tuple[str, str]]:
    rng = random.Random("last of five")
    pairs = []
    for noun in NOUNS:
        others = rng.sample([other for other in NOUNS if other != noun], 4)
        pairs.append((" ".join([*others, noun]), noun))
    return pairs


TASK = few_shot_task(
    "Last of five words",
    "text",
    _pairs,
)
"""Whatever the words: a negative, since no knowledge is asked for."""
