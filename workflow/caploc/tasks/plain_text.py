"""Running text from your files: continue a passage. A reference without a capability of its own.

One row::

    {"text": "Once upon a time there was a lamp that nobody lit. It stood ..."}

Of the first 48 words at most, the first two thirds are the prompt and the rest is the answer.
"""

import re
from collections.abc import Mapping, Sequence

from caploc.records import Dropped
from caploc.samples.scoring import same_text
from caploc.samples.task import HubSource, Task

__all__ = ["TASK"]

_MOST_WORDS = 48
_FEWEST_WORDS = 12


def _derive(fields: Mapping[str, str], labels: Sequence[str]) -> dict[str, str]:
    words = list(re.finditer(r"\S+", fields["text"]))[:_MOST_WORDS]
    if len(words) < _FEWEST_WORDS:
        raise Dropped(f"fewer than {_FEWEST_WORDS} words")
    border, end = words[len(words) * 2 // 3 - 1].end(), words[-1].end()
    return {
        "beginning": fields["text"][words[0].start() : border],
        "continuation": fields["text"][border:end],
    }


TASK = Task(
    title="Plain text",
    capability="text",
    score=same_text,
    source=HubSource("roneneldan/TinyStories", None, ("train", "validation"), ("text",)),
    prompt="{beginning}",
    answer="{continuation}",
    derive=_derive,
)
