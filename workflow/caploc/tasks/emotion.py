"""Emotion: short English messages with one of six emotions (dair-ai/emotion, `split`).

One row::

    {"text": "i didnt feel humiliated", "label": 0}

The label may be a number or its word. The first word of an answer is scored.
"""

from collections.abc import Mapping, Sequence

from caploc.samples.labels import label_word
from caploc.samples.scoring import same_first_word
from caploc.samples.task import HubSource, Task

__all__ = ["TASK"]


def _derive(fields: Mapping[str, str], labels: Sequence[str]) -> dict[str, str]:
    word = label_word(fields["label"], labels)
    return {"label": word, "meta_label": word}


TASK = Task(
    title="Emotion",
    capability="language",
    score=same_first_word,
    source=HubSource(
        "dair-ai/emotion", "split", ("train", "validation", "test"), ("text", "label")
    ),
    prompt="Text: {text}\nEmotion:",
    answer=" {label}",
    derive=_derive,
    labels=("sadness", "joy", "love", "anger", "fear", "surprise"),
    form="label",
)
