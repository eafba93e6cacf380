"""Words or capability: what the declared pairs of data sets favour."""

from dataclasses import dataclass
from typing import Any, Literal

from caploc.experiments.agreement._report_numbers import overlap, pair, rows
from caploc.report.formatting import Number
from caploc.report.views import View

__all__ = ["PairVerdict", "pair_rows", "pair_verdict"]

_METRICS = (
    "overlap", "iou", "chance_overlap_uniform", "chance_overlap_layer", "shared_count",
)  # fmt: skip


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


def pair_rows(view: View) -> list[dict[str, Any]]:
    """Declared pairs with their titles, overlap, IoU, chance and number of common neurons."""
    frame, title = rows(view), view.inputs.title
    return [
        {"pair": one, "a": title(one.a), "b": title(one.b)}
        | {metric: pair(frame, "datasets", (one.a, one.b), metric) for metric in _METRICS}
        for one in view.inputs.pairs
    ]


def pair_verdict(view: View) -> PairVerdict:
    """Compare the pairs that share words with those that share a capability."""
    found = pair_rows(view)
    kinds = {k: [r for r in found if r["pair"].shares == k] for k in ("words", "capability")}
    words, capability = (tuple(r["overlap"] for r in kind) for kind in kinds.values())
    margin = _margin(view)
    known = {k: [r for r in kind if r["overlap"].has_value] for k, kind in kinds.items()}
    if not all(known.values()):
        return PairVerdict(None, margin, words, capability)
    orders: tuple[tuple[Literal["words", "capability"], str], ...] = (
        ("words", "capability"), ("capability", "words"),
    )  # fmt: skip
    for winner, loser in orders:
        low = min(row["overlap"].bottom for row in known[winner])
        high = max(row["overlap"].top for row in known[loser])
        if low - high > margin:
            if all(_beats_chance(row) for row in known[winner]):
                return PairVerdict(winner, margin, words, capability)
            reason = "the larger overlap is not above chance"
            return PairVerdict("undecided", margin, words, capability, reason)
    reason = "the overlaps differ by less than they move with the choice of samples"
    return PairVerdict("undecided", margin, words, capability, reason)


def _margin(view: View) -> float:
    """Widest split range of the data sets that take part in a pair."""
    ids = [side for one in view.inputs.pairs for side in (one.a, one.b)]
    numbers = [overlap(view, task) for task in view.inputs.tasks if task.id in ids]
    return max((n.top - n.bottom for n in numbers if n.has_value), default=0.0)


def _beats_chance(row: dict[str, Any]) -> bool:
    chances = [row[f"chance_overlap_{kind}"].value for kind in ("uniform", "layer")]
    return all(row["overlap"].bottom > chance for chance in chances if chance is not None)
