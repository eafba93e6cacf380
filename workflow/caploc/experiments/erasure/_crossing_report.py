"""The tables `cross_erasure` and `cross_overlap`, pivoted: source x target matrices, contrasts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from caploc.report.cells import EMPTY, number
from caploc.report.formatting import Number
from caploc.report.views import View

__all__ = ["SET_KINDS", "Field", "crossing"]

SET_KINDS = (
    ("own", "all located neurons of each"),
    ("equal", "equally many of each"),
    ("own-distinct", "without the neurons common to all"),
    ("equal-distinct", "equally many of each, without the neurons common to all"),
)
_EFFECTS = (
    ("logprob", "fall of the log-probability"),
    ("relative", "right answers lost"),
    ("overlap", "overlap of the sets"),
)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a matrix.

    Attributes:
        number: what stands in it.
        strength: 0 to 1, how strong its colour is.
        apart: its interval lies wholly above 0.
        same: both data sets ask for the same capability.
    """

    number: Number
    strength: float
    apart: bool
    same: bool


class _Rows:
    """Rows of one model and method by sets, source, target and metric."""

    def __init__(self, view: View, table: str) -> None:
        names = ("sets", "source", "target", "metric")
        self.rows: dict[tuple[str, ...], Mapping[str, Any]] = {
            tuple(row[name] for name in names): row
            for row in view.inputs.tables.get(table, [])
            if (row["model"], row["method"]) == (view.model, view.method)
        }

    def number(self, sets: str, source: str, target: str, metric: str) -> Number:
        size = self.rows.get((sets, source, "", "n_neurons"))
        if size is not None and size["value"] == 0:
            return Number(reason=EMPTY)
        for where in ((sets, source, target), ("", source, ""), ("", "", target)):
            if (*where, metric) in self.rows:
                return number(self.rows[*where, metric])
        return number(None)


def crossing(view: View) -> dict[str, Any] | None:
    """What the page shows; None if nothing was crossed."""
    erased, overlap = _Rows(view, "cross_erasure"), _Rows(view, "cross_overlap")
    if not erased.rows:
        return None
    used = [(key, title) for key, title in SET_KINDS if any(row[0] == key for row in erased.rows)]
    return {
        "kinds": [
            {
                "key": key,
                "title": title,
                "sizes": [
                    number(erased.rows.get((key, task.id, "", "n_neurons")))
                    for task in view.inputs.tasks
                ],
                "logprob": _matrix(view, erased, key, "logprob_excess"),
                "relative": _matrix(view, erased, key, "relative_excess"),
                "overlap": _overlaps(view, overlap, key),
            }
            for key, title in used
        ],
        "n_common": number(erased.rows.get(("", "", "", "n_common"))),
        "contrasts": [
            row
            for effect, name in _EFFECTS
            for key, title in used
            if (
                row := _contrast(
                    overlap if effect == "overlap" else erased, key, effect, name, title
                )
            )
        ],
    }


def _matrix(view: View, rows: _Rows, kind: str, metric: str) -> list[tuple[str, list[Field]]]:
    tasks = view.inputs.tasks
    grid = [[rows.number(kind, s.id, t.id, metric) for t in tasks] for s in tasks]
    top = max((n.value for row in grid for n in row if n.value is not None), default=0.0)
    return [
        (
            source.title,
            [
                Field(
                    found,
                    max(found.value, 0.0) / top if found.value is not None and top > 0 else 0.0,
                    found.value is not None and found.low is not None and found.low > 0,
                    source.capability == target.capability,
                )
                for target, found in zip(tasks, line, strict=True)
            ],
        )
        for source, line in zip(tasks, grid, strict=True)
    ]


def _overlaps(view: View, rows: _Rows, kind: str) -> list[tuple[str, list[Field]]]:
    """A pair is in the table once; a set coincides with itself."""
    tasks = view.inputs.tasks
    found = []
    for source in tasks:
        line = []
        for target in tasks:
            shown = rows.number(kind, source.id, target.id, "overlap")
            if not shown.has_value:
                shown = rows.number(kind, target.id, source.id, "overlap")
            if source.id == target.id:
                shown = Number(reason="")
            same = source.capability == target.capability
            line.append(Field(shown, min(shown.value or 0.0, 1.0), False, same))
        found.append((source.title, line))
    return found


def _contrast(rows: _Rows, kind: str, effect: str, name: str, title: str) -> dict[str, Any] | None:
    row = rows.rows.get((kind, "", "", f"{effect}_contrast"))
    if row is None:
        return None
    return {
        "effect": effect,
        "name": name,
        "sets": title,
        "number": number(row),
        "p": row["p"],
        "n_draws": row["n_draws"],
        "dealt": rows.rows.get((kind, "", "", f"{effect}_contrast_labels")),
    }
