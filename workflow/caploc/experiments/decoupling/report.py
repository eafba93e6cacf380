"""The section on paired samples: rows of the table `decoupling`, pivoted; nothing is computed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from caploc.report.cells import number
from caploc.report.formatting import Number, percent
from caploc.report.inputs import Inputs, Row

__all__ = ["PAPER", "DecouplingView", "RateRow", "decoupling_views"]

PAPER = {"C12": 0.156, "C11": 0.073, "C22": 0.086}
"""Coincidence rates that the paper prints for knowledge neurons; normalisation and rule of the
located set are not printed."""
_RATES = tuple(PAPER)
_EFFECTS = ("task", "main part", "interaction")


@dataclass(frozen=True, slots=True)
class RateRow:
    """Coincidence rates by one rule and normalisation.

    Attributes:
        rule: which units count as located.
        norm: ``size`` or ``LJ``.
        numbers: C12, C11, C22.
        chance: the same for random sets with equal counts in every layer.
    """

    rule: str
    norm: str
    numbers: list[Number]
    chance: list[Number]


@dataclass(frozen=True, slots=True)
class DecouplingView:
    """One model on one family of pairs.

    Attributes:
        model: id.
        pairs: family.
        n: pairs drawn.
        n_known: of these, pairs whose four prompts are all answered and all locate something.
        shown: "known" or "all": what the numbers are about.
        accuracy: (prompt, number).
        cells: two-way numbers: (main part, same task, other task, both with chance by layer).
        effects: (name, effect, effect that layers alone would have).
        verdict: what the effects say.
        rates: coincidence rates.
        curve: (sets intersected, C11, C22).
        remarks: counts of what is unusual, in words.
    """

    model: str
    pairs: str
    n: int
    n_known: int
    shown: str
    accuracy: list[tuple[str, Number]]
    cells: list[tuple[str, Number, Number, Number, Number]]
    effects: list[tuple[str, Number, Number]]
    verdict: str
    rates: list[RateRow]
    curve: list[tuple[int, Number, Number]]
    remarks: list[str]


def decoupling_views(inputs: Inputs) -> list[DecouplingView]:
    """Every model with every family of pairs; empty if the run has no such table."""
    rows = inputs.tables.get("decoupling", [])
    found = dict.fromkeys((row["model"], row["dataset"]) for row in rows)
    return [
        _view(model, pairs, [r for r in rows if (r["model"], r["dataset"]) == (model, pairs)])
        for model, pairs in found
    ]


def _view(model: str, pairs: str, rows: list[Row]) -> DecouplingView:
    counts = {r["pairs"]: r for r in rows if r["metric"] == "pairs"}
    effects = {
        group: [_number(rows, pairs=group, metric="effect", comparison=name, control="")
                for name in _EFFECTS]
        for group in ("known", "all")
    }  # fmt: skip
    shown = "known" if effects["known"][0].has_value else "all"
    own = [r for r in rows if r["pairs"] == shown]
    expected = {"control": "expected by layer"}
    return DecouplingView(
        model=model,
        pairs=pairs,
        n=int(counts["all"]["n"]),
        n_known=int(counts["known"]["value"]),
        shown=shown,
        accuracy=[(r["comparison"], number(r)) for r in rows if r["metric"] == "accuracy"],
        cells=[_cell_row(own, main) for main in ("same", "other")],
        effects=[
            (name, found, _number(own, metric="effect", comparison=name, **expected))
            for name, found in zip(_EFFECTS, effects[shown], strict=True)
        ],
        verdict=_verdict(*effects[shown][:2]),
        rates=list(_rates(own)),
        curve=_curve(own),
        remarks=list(_remarks(rows)),
    )


def _cell_row(rows: list[Row], main: str) -> tuple[str, Number, Number, Number, Number]:
    """Same task and other task, then both by chance."""
    found = [
        _number(
            rows, metric="coincidence", comparison=f"{main} main part, {task}", control=control
        )
        for control in ("", "expected by layer")
        for task in ("same task", "other task")
    ]  # fmt: skip
    return f"{main} main part", found[0], found[1], found[2], found[3]


def _number(rows: list[Row], **where: Any) -> Number:
    return number(next((r for r in rows if all(r[k] == v for k, v in where.items())), None))


def _rates(rows: list[Row]) -> Iterator[RateRow]:
    keys = dict.fromkeys(
        (r["rule"], r["norm"]) for r in rows if r["comparison"] in _RATES and r["norm"]
    )
    # The rule of knowledge neurons first, then the top shares by size; `size` before `LJ`.
    order = sorted(keys, key=lambda k: (k[0].startswith("top"), _leading(k[0]), k[1] != "size"))
    for rule, norm in order:
        where = {"rule": rule, "norm": norm, "metric": "coincidence"}
        yield RateRow(
            rule,
            norm,
            [_number(rows, **where, comparison=rate, control="") for rate in _RATES],
            [
                _number(rows, **where, comparison=rate, control="expected by layer")
                for rate in _RATES
            ],
        )


def _leading(rule: str) -> float:
    return float(rule.removeprefix("top ").split()[0])


def _curve(rows: list[Row]) -> list[tuple[int, Number, Number]]:
    own = [r for r in rows if r["metric"] == "curve"]
    return [
        (m, _number(own, n_sets=m, comparison="C11"), _number(own, n_sets=m, comparison="C22"))
        for m in sorted({r["n_sets"] for r in own})
    ]


def _remarks(rows: list[Row]) -> Iterator[str]:
    texts = {
        "multi_token_answers": "prompts have an answer of several tokens",
        "empty_sets": "prompts located no neuron",
    }
    for row in rows:
        if row["metric"] in texts and row["value"]:
            yield f"{int(row['value'])} of {row['n']} {texts[row['metric']]}"
        if row["metric"] == "dropped":
            yield f"{int(row['value'])} prompts left out: {row['interval']}"


def _verdict(task: Number, main: Number) -> str:
    """One sentence from the two main effects, and what it does not say."""
    if task.value is None or main.value is None:
        return f"No statement about tasks or texts: {task.reason}."
    parts = [_share("task", task), _share("text", main)]
    if task.bottom > main.top:
        parts.append("the located neurons follow the task more than the text")
    elif main.bottom > task.top:
        parts.append("the located neurons follow the text more than the task")
    else:
        parts.append("the two are not told apart in size")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}. Which neurons carry either, common sets do not show."


def _share(what: str, found: Number) -> str:
    assert found.value is not None
    ends = f"{percent(abs(found.value))} points ({percent(found.bottom)} to {percent(found.top)})"
    if found.bottom > 0:
        return f"prompts with the same {what} share {ends} more than prompts with another {what}"
    if found.top < 0:
        return f"prompts with the same {what} share {ends} less than prompts with another {what}"
    return f"whether the {what} is the same makes no clear difference, {ends}"
