"""Words or capability: what the declared pairs of data sets favour."""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from caploc.experiments.agreement._report_numbers import overlap, pair, rows
from caploc.report.formatting import Number
from caploc.report.views import View

__all__ = ["PairVerdict", "pair_verdict"]

_KINDS: tuple[Literal["words"], Literal["capability"]] = ("words", "capability")


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """Which explanation the declared pairs favour.

    Attributes:
        favours: ``words``, ``capability`` or ``undecided``; None if either kind has no value.
        margin: how far overlap moves with the choice of samples (fraction): the widest split range
            of the data sets of the pairs; two pairs closer than this are not told apart.
        words: overlaps of the pairs that share words, also those without a value.
        capability: overlaps of the pairs that share a capability.
        reason: why it is undecided.
    """

    favours: Literal["words", "capability", "undecided"] | None
    margin: float
    words: tuple[Number, ...]
    capability: tuple[Number, ...]
    reason: str = ""


def pair_verdict(view: View) -> PairVerdict:
    """Compare the pairs that share words with those that share a capability."""
    frame = rows(view)
    found = {
        kind: {
            (one["a"], one["b"]): pair(frame, "datasets", (one["a"], one["b"]), "overlap")
            for one in view.inputs.spec["pairs"]
            if one["shares"] == kind
        }
        for kind in _KINDS
    }
    known = {k: {s: n for s, n in of.items() if n.has_value} for k, of in found.items()}
    words, capability = (tuple(numbers.values()) for numbers in found.values())
    margin = _margin(view)
    if not all(known.values()):
        return PairVerdict(None, margin, words, capability)
    for winner, loser in (_KINDS, _KINDS[::-1]):
        low = min(number.bottom for number in known[winner].values())
        if low - max(number.top for number in known[loser].values()) > margin:
            if all(_beats_chance(frame, *one) for one in known[winner].items()):
                return PairVerdict(winner, margin, words, capability)
            reason = "the larger overlap is not above chance"
            return PairVerdict("undecided", margin, words, capability, reason)
    reason = "the overlaps differ by less than they move with the choice of samples"
    return PairVerdict("undecided", margin, words, capability, reason)


def _margin(view: View) -> float:
    """Widest split range of the data sets that take part in a pair."""
    ids = [one[side] for one in view.inputs.spec["pairs"] for side in ("a", "b")]
    numbers = [overlap(view, task) for task in view.inputs.tasks if task.id in ids]
    return max((n.top - n.bottom for n in numbers if n.has_value), default=0.0)


def _beats_chance(frame: pl.DataFrame, sides: tuple[str, str], number: Number) -> bool:
    chances = [pair(frame, "datasets", sides, f"chance_overlap_{k}") for k in ("uniform", "layer")]
    return all(number.bottom > chance.value for chance in chances if chance.value is not None)
