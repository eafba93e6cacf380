"""Invented statements about feelings; the answer is one of six emotion words.

A quarter of the statements use a word that fits two emotions, and the answer is drawn (6 to 4), so
nobody can be right more often than `CEILING`. One sample (prompt, then answer)::

    I was furious when the train came.
    Emotion:
     anger
"""

import random

from caploc.samples.scoring import same_first_word
from caploc.samples.task import Answered, Task

__all__ = ["CEILING", "TASK"]

_CLEAR = {
    "sadness": ("gloomy", "heartbroken", "miserable", "downcast", "mournful", "tearful"),
    "joy": ("cheerful", "delighted", "glad", "merry", "thrilled", "overjoyed"),
    "love": ("affectionate", "adoring", "tender", "devoted", "fond", "caring"),
    "anger": ("furious", "outraged", "annoyed", "mad", "bitter", "livid"),
    "fear": ("afraid", "terrified", "nervous", "scared", "anxious", "uneasy"),
    "surprise": ("amazed", "astonished", "stunned", "baffled", "startled", "speechless"),
}
# (likelier emotion, other emotion): words that fit both
_AMBIGUOUS = {
    ("fear", "surprise"): ("shocked", "shaken"),
    ("love", "joy"): ("warm", "touched"),
    ("sadness", "anger"): ("hurt", "upset"),
    ("surprise", "joy"): ("dazzled", "breathless"),
}
_SHARE_AMBIGUOUS = 0.25
_LIKELIER = 0.6
CEILING = 1 - _SHARE_AMBIGUOUS * (1 - _LIKELIER)

_WHO = ("I", "We", "My brother", "Her friend", "The teacher", "Our neighbour", "His aunt", "They")
_FELT = ("felt", "seemed", "became", "grew")
_DEGREE = ("", "quite ", "rather ", "so ")
_WHEN = ("when", "after", "because", "while", "as")
_EVENT = (
    "the train came", "the letter came", "the music played", "the rain stopped",
    "the lights went out", "the guests came in", "the phone rang", "the door closed",
    "the dog barked", "the game ended", "the snow fell", "the ship sailed", "the bell rang",
    "the class ended", "the sun rose",
)  # fmt: skip


def _generate(rng: random.Random) -> Answered:
    ambiguous = rng.random() < _SHARE_AMBIGUOUS
    if ambiguous:
        labels = rng.choice(tuple(_AMBIGUOUS))
        label = labels[0] if rng.random() < _LIKELIER else labels[1]
        word = rng.choice(_AMBIGUOUS[labels])
    else:
        label = rng.choice(tuple(_CLEAR))
        word = rng.choice(_CLEAR[label])
    felt = f"{rng.choice(_WHO)} {rng.choice(_FELT)} {rng.choice(_DEGREE)}{word}"
    prompt = f"{felt} {rng.choice(_WHEN)} {rng.choice(_EVENT)}.\nEmotion:"
    return prompt, f" {label}", {"label": label, "word": word, "ambiguous": str(ambiguous).lower()}


TASK = Task(
    title="Emotions",
    capability="language",
    score=same_first_word,
    generate=_generate,
    form="label",
    labels=tuple(_CLEAR),
)
