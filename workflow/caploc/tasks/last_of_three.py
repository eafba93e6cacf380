"""The last of three words: copying, which attention does.

One sample (prompt, then answer)::

    apple lamp river -> river
    ...
    door cloud piano ->
     piano
"""

import random

from caploc.tasks._few_shot import few_shot_task
from caploc.tasks._words import NOUNS

__all__ = ["TASK"]


def _pairs() -> list[tuple[str, str]]:
    rng = random.Random("last of three")
    pairs = []
    for noun in NOUNS:
        others = rng.sample([other for other in NOUNS if other != noun], 2)
        pairs.append((" ".join([*others, noun]), noun))
    return pairs


TASK = few_shot_task(
    "Last of three words",
    "text",
    _pairs,
)
