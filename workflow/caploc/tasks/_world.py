"""People, things and events of the invented stories, shared by the tasks that tell them."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from caploc.samples.splits import prompt_digest

__all__ = ["GAINS", "LARGEST", "LOSSES", "NAMES", "THINGS", "Story", "held_out_by_story", "tell"]

NAMES = ("Mia", "Tom", "Ana", "Leo", "Eva", "Max", "Lily", "Sam", "Nora", "Ben", "Zoe")
THINGS = ("apples", "coins", "shells", "pens", "cards", "books", "stamps", "marbles", "cups")
# Past tense equals participle, so that a question needs no other form: "were found".
GAINS = ("found", "bought", "won", "picked", "made", "received")
LOSSES = ("lost", "sold", "dropped", "used", "traded", "spent")

LARGEST = 40
"""No amount in a story is larger: the tables of sums and differences stay learnable."""


@dataclass(frozen=True, slots=True)
class Story:
    """Somebody's possessions over time.

    Attributes:
        name: the person.
        things: what is counted, plural.
        start: number at first.
        events: (verb, signed change) in order; the verbs differ.
    """

    name: str
    things: str
    start: int
    events: tuple[tuple[str, int], ...]

    @property
    def amounts(self) -> tuple[int, ...]:
        """Number of things at the start and after each event."""
        amounts = [self.start]
        for _, change in self.events:
            amounts.append(amounts[-1] + change)
        return tuple(amounts)

    def changes(self) -> str:
        """What happened, to follow what the person had: ``found 5 and sold 3``."""
        return " and ".join(f"{verb} {abs(change)}" for verb, change in self.events)

    def text(self) -> str:
        """The story in one sentence."""
        return f"{self.name} had {self.start} {self.things}, {self.changes()}."

    def steps(self) -> str:
        """Worked solution, one equation a line, and the result after ``####``."""
        amounts = self.amounts
        lines = [
            f"{before} {'+' if change > 0 else '-'} {abs(change)} = {before + change}"
            for before, (_, change) in zip(amounts[:-1], self.events, strict=True)
        ]
        return " " + "\n".join([*lines, f"#### {amounts[-1]}"])


def tell(rng: random.Random) -> Story:
    """Draw a story of one or two events (equally often)."""
    name, things = rng.choice(NAMES), rng.choice(THINGS)
    amount = start = rng.randint(3, LARGEST - 3)
    events: list[tuple[str, int]] = []
    for _ in range(rng.randint(1, 2)):
        told = [verb for verb, _ in events]
        # Leave at least one thing, and never more than LARGEST; a change is at least 2: plural.
        gains = amount < LARGEST - 1 and (amount < 3 or rng.random() < 0.5)
        change = rng.randint(2, LARGEST - amount) if gains else -rng.randint(2, amount - 1)
        verb = rng.choice([v for v in (GAINS if gains else LOSSES) if v not in told])
        events.append((verb, change))
        amount += change
    return Story(name, things, start, tuple(events))


def held_out_by_story(prompt: str, meta: Mapping[str, str]) -> bool:
    """Keep a story from training whatever is asked about it: tasks share stories."""
    return int(prompt_digest(meta["story"])[0], 16) % 2 == 0
