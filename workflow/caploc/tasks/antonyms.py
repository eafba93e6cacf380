"""The opposite of a word, each pair of words in one direction only.

One sample (prompt, then answer)::

    hot -> cold
    ...
    inside ->
     outside
"""

from caploc.tasks._few_shot import few_shot_task
from caploc.tasks._words import ANTONYMS

__all__ = ["TASK"]


def _pairs() -> list[tuple[str, str]]:
    # A word that was asked for is no answer, and the other way round.
    seen: set[str] = set()
    pairs = []
    for word, opposite in ANTONYMS.items():
        if not {word, opposite} & seen:
            pairs.append((word, opposite))
            seen |= {word, opposite}
    return pairs


TASK = few_shot_task(
    "Antonyms",
    "language",
    _pairs,
)
