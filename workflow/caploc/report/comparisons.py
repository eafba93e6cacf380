"""Simple comparisons behind the wording: which of two numbers with ranges is larger, if any."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from caploc.report.formatting import Number
from caploc.report.inputs import Pair, Task
from caploc.report.views import View

__all__ = ["PairVerdict", "Standing", "pair_verdict", "standing", "stands"]

Order = Literal["above", "within", "below"]


def stands(number: Number, reference: Number) -> Order | None:
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


@dataclass(frozen=True, slots=True)
class Standing:
    """Data sets by where they stand against their reference; without values they are left out."""

    above: tuple[Task, ...]
    within: tuple[Task, ...]
    below: tuple[Task, ...]

    @property
    def total(self) -> int:
        """Number of data sets compared."""
        return len(self.above) + len(self.within) + len(self.below)


def standing(view: View, reference: Callable[[Task], Number]) -> Standing:
    """Compare the agreement of every data set with its reference."""
    found: dict[str | None, list[Task]] = {}
    for task in view.inputs.tasks:
        order = stands(view.overlap(task), reference(task))
        found.setdefault(order, []).append(task)
    return Standing(*(tuple(found.get(order, ())) for order in ("above", "within", "below")))


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """Which explanation the declared pairs favour.

    Attributes:
        favours: ``words``, ``capability`` or ``undecided``; None if either kind has no value.
        margin: how far overlap moves with the choice of samples (fraction): the widest split range
            of the data sets of the pairs; two pairs closer than this are not told apart.
        words: overlap of the pairs that share words, None where it has no value.
        capability: overlap of the pairs that share a capability.
        reason: why it is undecided.
    """

    favours: Literal["words", "capability", "undecided"] | None
    margin: float
    words: tuple[tuple[Pair, Number], ...]
    capability: tuple[tuple[Pair, Number], ...]
    reason: str = ""


def pair_verdict(view: View) -> PairVerdict:
    """Compare the pairs that share words with those that share a capability."""
    cells, inputs = view.headline, view.inputs
    kinds: dict[str, list[tuple[Pair, Number]]] = {"words": [], "capability": []}
    for pair in inputs.pairs:
        kinds[pair.shares].append((pair, cells.pair("datasets", pair.a, pair.b, "overlap")))
    words, capability = tuple(kinds["words"]), tuple(kinds["capability"])
    margin = _margin(view)
    values = {kind: [n for _, n in pairs if n.has_value] for kind, pairs in kinds.items()}
    if not all(values.values()):
        return PairVerdict(None, margin, words, capability)
    for winner, loser in (("words", "capability"), ("capability", "words")):
        low = min(n.bottom for n in values[winner])
        high = max(n.top for n in values[loser])
        if low - high > margin:
            if all(_beats_chance(view, pair, n) for pair, n in kinds[winner] if n.has_value):
                favours: Literal["words", "capability"] = (
                    "words" if winner == "words" else "capability"
                )
                return PairVerdict(favours, margin, words, capability)
            reason = "the larger overlap is not above chance"
            return PairVerdict("undecided", margin, words, capability, reason)
    reason = "the overlaps differ by less than they move with the choice of samples"
    return PairVerdict("undecided", margin, words, capability, reason)


def _margin(view: View) -> float:
    """Widest split range of the data sets that take part in a pair."""
    ids: Sequence[str] = [side for pair in view.inputs.pairs for side in (pair.a, pair.b)]
    numbers = [view.overlap(task) for task in view.inputs.tasks if task.id in ids]
    return max((n.top - n.bottom for n in numbers if n.has_value), default=0.0)


def _beats_chance(view: View, pair: Pair, number: Number) -> bool:
    chances = [
        view.headline.pair("datasets", pair.a, pair.b, f"chance_overlap_{kind}").value
        for kind in ("uniform", "layer")
    ]
    return all(number.bottom > chance for chance in chances if chance is not None)
