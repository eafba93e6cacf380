"""Plain invented sentences: text that asks for no capability, the reference for agreement.

One sample (prompt, then continuation)::

    The old boat drifted past
     the quiet harbour while a grey bird slept.
"""

import random

from caploc.samples.scoring import same_text
from caploc.samples.task import Answered, Task

__all__ = ["TASK"]

_ADJECTIVES = (
    "old",
    "quiet",
    "grey",
    "narrow",
    "green",
    "small",
    "long",
    "wooden",
    "distant",
    "pale",
)
_NOUNS = (
    "boat", "harbour", "bird", "field", "road", "bridge", "garden", "river", "cloud", "tower",
    "window", "forest", "valley", "cart", "stone", "lamp",
)  # fmt: skip
_VERBS = ("drifted", "rested", "turned", "waited", "stood", "leaned", "moved", "stayed")
_PLACES = ("past", "near", "behind", "beside", "under", "above", "towards", "beyond")
_JOINTS = ("while", "and", "until", "where")


def _thing(rng: random.Random) -> str:
    adjective = rng.choice(_ADJECTIVES) + " " if rng.random() < 0.7 else ""
    return f"{rng.choice(('the', 'a'))} {adjective}{rng.choice(_NOUNS)}"


def _clause(rng: random.Random) -> list[str]:
    words = f"{_thing(rng)} {rng.choice(_VERBS)} {rng.choice(_PLACES)} {_thing(rng)}"
    return words.split()


def _generate(rng: random.Random) -> Answered:
    words = [*_clause(rng), rng.choice(_JOINTS), *_clause(rng)]
    cut = rng.randint(4, 6)
    text = " ".join(words)
    prompt = " ".join(words[:cut])
    return prompt[0].upper() + prompt[1:], f"{text[len(prompt) :]}.", {}


TASK = Task(title="Neutral text", capability="text", score=same_text, generate=_generate)
