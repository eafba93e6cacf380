"""IMDB: film reviews, negative or positive (stanfordnlp/imdb).

One row (shortened)::

    {"text": "I rented this film after reading ...<br /><br />It was dull.", "label": 0}

The label may be a number or its word. The first word of an answer is scored.
"""

import re
from collections.abc import Mapping, Sequence

from caploc.samples.labels import label_word
from caploc.samples.scoring import same_first_word
from caploc.samples.task import HubSource, Task

__all__ = ["TASK"]

_LINE_BREAK = re.compile(r"(?:\s*<br\s*/?>\s*)+")


def _derive(fields: Mapping[str, str], labels: Sequence[str]) -> dict[str, str]:
    word = label_word(fields["label"], labels)
    text = _LINE_BREAK.sub(" ", fields["text"]).strip()
    return {"text": text, "label": word, "meta_label": word}


TASK = Task(
    title="IMDB",
    capability="language",
    score=same_first_word,
    source=HubSource("stanfordnlp/imdb", "plain_text", ("train", "test"), ("text", "label")),
    prompt="Review: {text}\nSentiment:",
    answer=" {label}",
    derive=_derive,
    labels=("negative", "positive"),
    form="label",
)
