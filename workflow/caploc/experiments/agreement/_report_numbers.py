"""The table `agreement` of one model and method: which number stands where."""

from collections.abc import Sequence

import polars as pl

from caploc.report.formatting import NOT_COMPUTED, Number
from caploc.report.inputs import Task
from caploc.report.numbers import matching, number
from caploc.report.palette import CHANCE
from caploc.report.views import View

__all__ = ["EMPTY", "REFERENCES", "curve", "halves", "largest", "located_share",
           "overlap", "pair", "reference", "rows"]  # fmt: skip

EMPTY = "empty mask"
# Arms that a data set is compared with, in the order of every figure.
REFERENCES = ("mixture", "neutral", "shuffled")


def rows(view: View, mask: str | None = None) -> pl.DataFrame:
    """Rows of one mask, the headline mask by default."""
    return view.rows("agreement", mask=mask or view.mask).with_columns(
        pl.col("n_half").fill_null(0)
    )


def largest(frame: pl.DataFrame, arm: str, dataset: str) -> int | None:
    """Largest number of samples in each half; None when nothing was computed."""
    found = matching(frame, comparison="halves", arm=arm, dataset=dataset, metric="overlap")
    return None if found.is_empty() else int(found["n_half"].max())  # type: ignore[arg-type]


def halves(
    frame: pl.DataFrame, arm: str, dataset: str, metric: str, n_half: int | None = None
) -> Number:
    """A number of the comparison of two disjoint halves.

    Args:
        frame: as `rows`.
        arm: located, mixture, neutral or shuffled.
        dataset: a task, ``mixture``, the neutral task, or ``<task>.shuffled``.
        metric: overlap, iou, located_share, ...
        n_half: samples in each half; None takes the largest.
    """
    n = largest(frame, arm, dataset) if n_half is None else n_half
    if n is None:
        return Number(reason=NOT_COMPUTED)
    own = matching(frame, comparison="halves", arm=arm, dataset=dataset, n_half=n)
    # No value although the share was counted: one of the halves had no located neuron at all.
    counted = number(own, metric="located_share").has_value
    return number(own, EMPTY if counted else NOT_COMPUTED, metric=metric)


def curve(view: View, series: str, task: Task) -> list[tuple[float, Number]]:
    """(samples in each half, number) of an arm or of chance for every size, ascending."""
    by_chance = series == CHANCE.key
    metric = "chance_overlap_layer" if by_chance else "overlap"
    arm = "located" if by_chance else series
    frame, dataset = rows(view), _dataset(view, arm, task)
    found = matching(frame, comparison="halves", arm=arm, dataset=dataset, metric=metric)
    sizes = found["n_half"].unique().sort()
    return [(n, halves(frame, arm, dataset, metric, n)) for n in sizes]


def pair(frame: pl.DataFrame, comparison: str, sides: Sequence[str], metric: str) -> Number:
    """A number of a comparison between two data sets, in either order."""
    for a, b in (sides, tuple(reversed(sides))):
        own = matching(frame, comparison=comparison, dataset=a, reference=b)
        if not matching(own, metric=metric).is_empty():
            counted = number(own, metric="shared_count").has_value
            return number(own, EMPTY if counted else NOT_COMPUTED, metric=metric)
    return Number(reason=NOT_COMPUTED)


def overlap(view: View, task: Task, mask: str | None = None, metric: str = "overlap") -> Number:
    """Agreement of two halves of a data set."""
    return halves(rows(view, mask), "located", task.id, metric)


def located_share(view: View, task: Task, mask: str | None = None) -> Number:
    """Share of all neurons that the whole sample of a data set locates."""
    return overlap(view, task, mask, "located_share_whole")


def reference(view: View, arm: str, task: Task, mask: str | None = None) -> Number:
    """Agreement of two halves of a reference, with as many samples where it has that size.

    Of chance, the larger of the two chance overlaps: the stricter one to beat.
    """
    if arm == CHANCE.key:
        kinds = [overlap(view, task, mask, f"chance_overlap_{k}") for k in ("uniform", "layer")]
        return max(kinds, key=lambda one: -1.0 if one.value is None else one.value)
    frame, dataset = rows(view, mask), _dataset(view, arm, task)
    equal = halves(frame, arm, dataset, "overlap", largest(frame, "located", task.id))
    return equal if equal.has_value else halves(frame, arm, dataset, "overlap")


def _dataset(view: View, arm: str, task: Task) -> str:
    """Name in the table of the reference that `task` is compared with."""
    if arm == "shuffled":
        return f"{task.id}.shuffled"
    if arm == "neutral":
        return view.inputs.neutral.id if view.inputs.neutral else "neutral"
    return task.id if arm == "located" else arm
