"""An invented knowledge base: who lives where, does what, speaks what.

Every fact has `N_PHRASINGS` phrasings. A hash of the fact keeps half of them from training, so a
held-out prompt asks for a fact that was learned in other words. One sample (prompt, then answer)::

    The home town of Zorvan is
     Marn
"""

import hashlib
import random
from collections.abc import Mapping
from functools import cache

from caploc.samples.scoring import same_text
from caploc.samples.task import Answered, Task

__all__ = ["N_PHRASINGS", "OBJECTS", "SUBJECTS", "TASK", "TEMPLATES", "knowledge"]

SUBJECTS: tuple[str, ...] = tuple(
    a + b
    for a in ("Zor", "Kel", "Mar", "Tav", "Bri", "Dun", "Fen", "Gal")
    for b in ("van", "dis", "mek", "osh", "ira")
)

OBJECTS: dict[str, tuple[str, ...]] = {
    "town": ("Ardale", "Bexley", "Corvin", "Dorset", "Elmira", "Farrow", "Glenby", "Haldon"),
    "trade": ("baker", "miller", "smith", "tailor", "weaver", "potter", "mason", "sailor"),
    "language": ("Avaric", "Belgic", "Cymran", "Doric", "Elvan", "Frisic", "Gothar", "Hesian"),
    "instrument": ("flute", "harp", "lute", "drum", "fiddle", "horn", "organ", "zither"),
    "pet": ("cat", "goat", "parrot", "rabbit", "turtle", "hamster", "pony", "raven"),
    "dish": ("soup", "pie", "stew", "porridge", "noodles", "salad", "dumplings", "curry"),
}

TEMPLATES: dict[str, tuple[str, ...]] = {
    "town": (
        "{s} lives in the town of", "The home town of {s} is",
        "You can visit {s} in", "The house of {s} stands in",
    ),
    "trade": (
        "{s} works as a", "The trade of {s} is that of a",
        "By profession {s} is a", "{s} earns a living as a",
    ),
    "language": (
        "{s} speaks", "The mother tongue of {s} is",
        "At home {s} talks in", "{s} writes letters in",
    ),
    "instrument": (
        "{s} plays the", "The instrument of {s} is the",
        "On stage {s} performs on the", "{s} practises every day on the",
    ),
    "pet": (
        "{s} owns a", "The pet of {s} is a",
        "{s} goes for walks with a", "{s} shares the house with a",
    ),
    "dish": (
        "{s} likes to eat", "The favourite dish of {s} is",
        "For dinner {s} cooks", "{s} always orders",
    ),
}  # fmt: skip

N_PHRASINGS = 4
_N_HELD_OUT = 2


@cache
def knowledge() -> dict[tuple[str, str], str]:
    """Object of every (subject, relation): the same in every run."""
    rng = random.Random("knowledge base 1")
    pairs = [(subject, relation) for subject in SUBJECTS for relation in OBJECTS]
    return {(subject, relation): rng.choice(OBJECTS[relation]) for subject, relation in pairs}


@cache
def _population() -> tuple[Answered, ...]:
    samples = []
    for (subject, relation), answer in knowledge().items():
        for phrasing, template in enumerate(TEMPLATES[relation]):
            meta = {"subject": subject, "relation": relation, "phrasing": str(phrasing)}
            samples.append((template.format(s=subject), f" {answer}", meta))
    return tuple(samples)


def _is_held_out(prompt: str, meta: Mapping[str, str]) -> bool:
    fact = hashlib.sha256(f"{meta['subject']}|{meta['relation']}".encode()).digest()
    first = fact[0] % N_PHRASINGS
    return (int(meta["phrasing"]) - first) % N_PHRASINGS < _N_HELD_OUT


TASK = Task(
    title="Facts",
    capability="knowledge",
    score=same_text,
    generate=lambda rng: rng.choice(_population()),
    population=_population,
    is_held_out=_is_held_out,
)
