"""The tables `cross_erasure` and `cross_overlap`, pivoted: source x target matrices, contrasts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from caploc.experiments.erasure.table import CROSS_ERASURE
from caploc.report.findings import Finding
from caploc.report.formatting import Number, nat
from caploc.report.inputs import Task
from caploc.report.numbers import matching, number, row
from caploc.report.set_kinds import SET_KINDS
from caploc.report.views import View

__all__ = ["Field", "crossing", "selective"]

_EFFECTS = {
    "logprob": "fall of the log-probability",
    "relative": "right answers lost",
    "overlap": "overlap of the sets",
}
_SIGNIFICANT = 0.05


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


Matrix = list[tuple[str, list[Field]]]


def crossing(view: View) -> dict[str, Any] | None:
    """What the page shows; None if nothing was crossed.

    Returns:
        ``kinds`` of sets, each with its ``sizes`` and matrices ``logprob``, ``relative`` and
        ``overlap``; ``n_common``, neurons common to all; ``contrasts``.
    """
    erased, overlap = _rows(view, "cross_erasure"), _rows(view, "cross_overlap")
    if erased.is_empty():
        return None
    used = {key: title for key, title in SET_KINDS.items() if key in set(erased["sets"])}
    kinds = []
    for key, title in used.items():
        own, tasks = matching(erased, sets=key), view.inputs.tasks
        sizes = [_size(own, task.id) for task in tasks]
        matrices = {m: _matrix(view, own, f"{m}_excess") for m in ("logprob", "relative")}
        found = {"sizes": sizes, **matrices, "overlap": _overlaps(view, overlap, key)}
        kinds.append({"key": key, "title": title, **found})
    return {
        "kinds": kinds,
        "n_common": number(erased, sets="", source="", target="", metric="n_common"),
        "contrasts": _contrasts(erased, overlap, used),
    }


def selective(view: View) -> Finding | None:
    """Do neurons of one data set matter more to data sets of the same capability?"""
    erased = _rows(view, "cross_erasure")
    kinds = {key: title for key, title in SET_KINDS.items() if key in set(erased["sets"])}
    found = next((c for c in _contrasts(erased, erased, kinds) if c["effect"] == "logprob"), None)
    if found is None or not found["number"].has_value:
        return None
    number, p = found["number"], found["p"]
    text = (
        "Silencing the neurons of one data set costs other data sets of the same capability "
        f"{nat(number.value)} nat per answer token more than those of other capabilities "
        f"({nat(number.bottom)} to {nat(number.top)}"
    )
    text += f", p = {p:.2g} against random sets). " if p is not None else "). "
    if number.bottom > 0 and (p is None or p <= _SIGNIFICANT):
        return Finding("supports", "One capability or many", text + "The damage is selective.")
    if number.top < 0:
        return Finding("against", "One capability or many", text + "The damage goes elsewhere.")
    text += "The damage is not told apart from damage to anything."
    return Finding("mixed", "One capability or many", text)


def _rows(view: View, table: str) -> pl.DataFrame:
    frame = view.inputs.tables.get(table, pl.DataFrame(schema=dict(CROSS_ERASURE)))
    return matching(frame, model=view.model, method=view.method)


def _size(frame: pl.DataFrame, source: str) -> Number:
    return number(frame, source=source, target="", metric="n_neurons")


def _matrix(view: View, frame: pl.DataFrame, metric: str) -> Matrix:
    """Source by target; the strongest colour is that of the largest value."""

    def found(source: str, target: str) -> Number:
        if _size(frame, source).value == 0:
            return Number(reason="empty mask")
        return number(frame, source=source, target=target, metric=metric)

    return _grid(view.inputs.tasks, found, None)


def _overlaps(view: View, frame: pl.DataFrame, kind: str) -> Matrix:
    """A pair is in the table once; a set coincides with itself."""
    own = matching(frame, sets=kind, metric="overlap").drop("ci_low", "ci_high")

    def found(source: str, target: str) -> Number:
        if source == target:
            return Number(reason="")
        one = number(own, source=source, target=target)
        return one if one.has_value else number(own, source=target, target=source)

    return _grid(view.inputs.tasks, found, 1.0)


def _grid(tasks: Sequence[Task], found: Callable[[str, str], Number], top: float | None) -> Matrix:
    """Fields of all pairs of data sets; a value of `top` (None: the largest) has full colour."""
    numbers = {(a.id, b.id): found(a.id, b.id) for a in tasks for b in tasks}
    most = top or max((n.value for n in numbers.values() if n.value is not None), default=0.0)

    def field(a: Task, b: Task) -> Field:
        one = numbers[a.id, b.id]
        strength = min(max(one.value or 0.0, 0.0) / most, 1.0) if most > 0 else 0.0
        apart = one.value is not None and one.low is not None and one.low > 0
        return Field(one, strength, apart, a.capability == b.capability)

    return [(a.title, [field(a, b) for b in tasks]) for a in tasks]


def _contrasts(
    erased: pl.DataFrame, overlap: pl.DataFrame, kinds: dict[str, str]
) -> list[dict[str, Any]]:
    """Same minus other capability of each effect and kind of sets, as far as the tables go."""
    found = []
    for effect, name in _EFFECTS.items():
        frame = matching(overlap if effect == "overlap" else erased, source="", target="")
        for kind, title in kinds.items():
            own = {"sets": kind, "metric": f"{effect}_contrast"}
            tested = row(frame, **own)
            if tested is not None:
                labels = row(frame, sets=kind, metric=f"{effect}_contrast_labels")
                named = {"effect": effect, "name": name, "sets": title, "dealt": labels}
                drawn = {"p": tested["p"], "n_draws": tested["n_draws"]}
                found.append({**named, "number": number(frame, **own), **drawn})
    return found
