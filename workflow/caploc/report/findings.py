"""What the numbers say, in plain words; every sentence is chosen by a comparison of two numbers.

No sentence is written for one result: a run whose references agree as well as its data sets says
so as plainly as a run that supports the paper.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from caploc.report.formatting import Number, percent_span

__all__ = ["Finding", "Tile", "Tone", "span_of", "stands", "tone_of", "values_of"]

Tone = Literal["supports", "against", "mixed", "caution", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One statement: what it is about, what it says, and whether it supports the claim."""

    tone: Tone
    about: str
    text: str


@dataclass(frozen=True, slots=True)
class Tile:
    """One decisive number: the number, what it is, and how to judge it."""

    number: str
    label: str
    note: str


def tone_of(passed: int, total: int) -> Tone:
    """What it says of a claim that so many of all comparisons pass."""
    return "supports" if passed == total else "mixed" if passed else "against"


def stands(number: Number, reference: Number) -> Literal["above", "within", "below"] | None:
    """Where `number` stands against `reference`, judged by their ranges.

    Returns:
        ``above`` or ``below`` if the ranges do not touch, ``within`` if they do, None if either has
        no value.
    """
    if not (number.has_value and reference.has_value):
        return None
    if number.bottom > reference.top:
        return "above"
    return "below" if number.top < reference.bottom else "within"


def values_of(numbers: Iterable[Number]) -> list[float]:
    """Values of those numbers that have one."""
    return [number.value for number in numbers if number.value is not None]


def span_of(numbers: Iterable[Number]) -> str:
    """Smallest and largest value in percent, a dash if there is none."""
    found = values_of(numbers)
    return f"{percent_span(min(found), max(found))} %" if found else "–"
