"""Rows of two runs that say the same thing, next to each other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from caploc.comparison.runs import NUMBERS, FinishedRun

__all__ = ["Row", "Table", "differing_settings", "tables"]

_KEPT = ("value", "ci_low", "ci_high", "n")


@dataclass(frozen=True, slots=True)
class Row:
    """One number in both runs.

    Attributes:
        key: what identifies it, by column; models, methods and sigmas that differ are ``a | b``.
        a: value, ci_low, ci_high, n of the first run; all None where it has no such row.
        b: the same of the second run.
        primary: whether it is a primary number of its table.
    """

    key: dict[str, Any]
    a: dict[str, Any]
    b: dict[str, Any]
    primary: bool

    @property
    def difference(self) -> float | None:
        """Second minus first."""
        if self.a["value"] is None or self.b["value"] is None:
            return None
        return self.b["value"] - self.a["value"]


@dataclass(frozen=True, slots=True)
class Table:
    """One table of both runs."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def tables(a: FinishedRun, b: FinishedRun) -> list[Table]:
    """Every table that both runs have, in the order of the first."""
    return [_table(name, a, b) for name in a.tables if name in b.tables]


def _table(name: str, a: FinishedRun, b: FinishedRun) -> Table:
    both = [a.tables[name], b.tables[name]]
    # A single neuron of one model is no counterpart of the same number in another.
    both = [[row for row in rows if row.get("neuron") is None] for rows in both]
    columns = [c for rows in both for row in rows[:1] for c in row if c not in NUMBERS]
    columns = list(dict.fromkeys(c for c in columns if c != "neuron"))
    paired = [_paired(run, other) for run, other in ((a, b), (b, a))]
    found: dict[tuple[Any, ...], list[dict[str, Any] | None]] = {}
    for side, rows in enumerate(both):
        for row in rows:
            known = paired[side]
            key = tuple(
                None if c == "sigma" or known.get(c, ...) == row.get(c) else row.get(c)
                for c in columns
            )
            found.setdefault(key, [None, None])[side] = row
    return Table(
        name, tuple(columns), tuple(_row(columns, one, two) for one, two in found.values())
    )


def _paired(run: FinishedRun, other: FinishedRun) -> dict[str, str]:
    """Column -> its only value in a run, where the other run has one too: they need not agree.

    Sigmas need not either: the id of the mask stands for them.
    """
    one_each = {"model": "models", "method": "methods"}
    return {
        column: run.config["run"][key][0]
        for column, key in one_each.items()
        if len(run.config["run"][key]) == len(other.config["run"][key]) == 1
    }


def _row(columns: Sequence[str], a: dict[str, Any] | None, b: dict[str, Any] | None) -> Row:
    sides = [row for row in (a, b) if row is not None]
    key = {}
    for column in columns:
        values = list(dict.fromkeys(row.get(column) for row in sides))
        key[column] = values[0] if len(values) == 1 else " | ".join(map(_text, values))
    one, two = ({k: (row or {}).get(k) for k in _KEPT} for row in (a, b))
    primary = any(row.get("role") == "primary" for row in sides)
    return Row(key, one, two, primary)


def differing_settings(a: FinishedRun, b: FinishedRun) -> list[tuple[str, str, str]]:
    """(key, value in the first, value in the second) of every setting that differs."""
    one, two = dict(_flat(_used(a.config))), dict(_flat(_used(b.config)))
    keys = list(dict.fromkeys([*one, *two]))
    return [
        (key, _text(one.get(key)), _text(two.get(key)))
        for key in keys
        if one.get(key) != two.get(key)
    ]


def _used(config: dict[str, Any]) -> dict[str, Any]:
    """Without the items of catalogues that the run does not use."""
    run, used = config["run"], dict(config)
    for kind in ("models", "tasks", "methods", "masks"):
        wanted = [*run[kind], *([run["neutral"]] if kind == "tasks" and run["neutral"] else [])]
        used[kind] = {name: config[kind][name] for name in wanted}
    used["experiments"] = {name: config["experiments"][name] for name in run["experiments"]}
    used.pop("facts", None)
    return used


def _flat(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{where}.{key}".lstrip("."))
    else:
        yield where, value


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    return str(value)
