"""The table `agreement` by its identifying columns: which number stands where."""

from collections.abc import Iterable, Mapping
from typing import Any

from caploc.report.formatting import NOT_COMPUTED, Number

__all__ = ["EMPTY", "Cells", "number"]

EMPTY = "empty mask"


def number(row: Mapping[str, Any] | None, reason: str = NOT_COMPUTED) -> Number:
    """One row of any table as a `Number`; `reason` is used where the row gives none."""
    if row is None:
        return Number(reason=reason)
    note = str(row.get("interval") or "")
    if row.get("value") is None and "n = " in note:
        reason = f"{NOT_COMPUTED}: {note.removeprefix(NOT_COMPUTED).lstrip(': ')}"
    return Number(
        value=row.get("value"),
        low=row.get("ci_low"),
        high=row.get("ci_high"),
        n=row.get("n"),
        reason=reason,
        interval=note,
    )


class Cells:
    """Look-up of single numbers of one model, method and mask.

    Args:
        rows: rows of the table `agreement`; those of other models, methods and masks are ignored.
        model: id.
        method: id.
        mask: id.
    """

    def __init__(
        self, rows: Iterable[Mapping[str, Any]], model: str, method: str, mask: str
    ) -> None:
        self._halves: dict[tuple[str, str, str], dict[int, Mapping[str, Any]]] = {}
        self._pairs: dict[tuple[str, str, str, str], Mapping[str, Any]] = {}
        for row in rows:
            if (row["model"], row["method"], row["mask"]) != (model, method, mask):
                continue
            if row["comparison"] == "halves":
                key = (row["arm"], row["dataset"], row["metric"])
                self._halves.setdefault(key, {})[row["n_half"] or 0] = row
            else:
                where = (row["comparison"], row["dataset"], row["reference"], row["metric"])
                self._pairs[where] = row

    def n_half(self, arm: str, dataset: str) -> int | None:
        """Largest number of samples in each half; None when nothing was computed."""
        sizes = self._halves.get((arm, dataset, "overlap"), {})
        return max(sizes) if sizes else None

    def curve(self, arm: str, dataset: str, metric: str) -> list[tuple[int, Number]]:
        """(samples in each half, number) for every size, ascending."""
        rows = self._halves.get((arm, dataset, metric), {})
        return [(n, self.halves(arm, dataset, metric, n)) for n in sorted(rows)]

    def halves(self, arm: str, dataset: str, metric: str, n_half: int | None = None) -> Number:
        """A number of the comparison of two disjoint halves.

        Args:
            arm: located, mixture, neutral or shuffled.
            dataset: a task, ``mixture``, the neutral task, or ``<task>.shuffled``.
            metric: overlap, iou, located_share, ...
            n_half: samples in each half; None takes the largest.
        """
        n = self.n_half(arm, dataset) if n_half is None else n_half
        rows = self._halves.get((arm, dataset, metric), {})
        found = number(rows.get(n) if n is not None else None)
        if found.has_value or found.reason != NOT_COMPUTED:
            return found
        located = self._halves.get((arm, dataset, "located_share"), {}).get(n or 0)
        # No value although the share was counted: one of the halves had no located neuron at all.
        if located is not None and located["value"] is not None:
            return number(rows.get(n or 0), EMPTY)
        return found

    def pair(self, comparison: str, dataset: str, reference: str, metric: str) -> Number:
        """A number of a comparison between two data sets, in either order."""
        for a, b in ((dataset, reference), (reference, dataset)):
            row = self._pairs.get((comparison, a, b, metric))
            if row is not None:
                shared = self._pairs.get((comparison, a, b, "shared_count"), row)
                reason = EMPTY if shared["value"] is not None else NOT_COMPUTED
                return number(row, reason)
        return number(None)
