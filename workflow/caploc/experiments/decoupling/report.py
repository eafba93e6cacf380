"""The section on paired samples: rows of the table `decoupling`, pivoted; nothing is computed."""

from typing import Any

import polars as pl

from caploc.experiments.decoupling._example import pair_example
from caploc.experiments.decoupling.table import DECOUPLING
from caploc.report.findings import Finding, Tone
from caploc.report.formatting import Number, in_points, points
from caploc.report.inputs import Inputs
from caploc.report.numbers import matching, number, remarks, row
from caploc.report.views import View

__all__ = ["CONTENTS", "ORDER", "PAPER", "TABLES", "findings", "section"]

TABLES = {"decoupling": DECOUPLING}
ORDER = 70
CONTENTS = (("decoupling", "One text, two tasks"),)
PAPER = {"C12": 0.156, "C11": 0.073, "C22": 0.086}
"""Coincidence rates that the paper prints for knowledge neurons; normalisation and rule of the
located set are not printed."""
_CONTROLS = ("", "expected by layer")
_REMARKS = {
    "multi_token_answers": "{value:.0f} of {n} prompts have an answer of several tokens",
    "empty_sets": "{value:.0f} of {n} prompts located no neuron",
    "dropped": "{value:.0f} prompts left out: {interval}",
}


def section(inputs: Inputs) -> dict[str, Any] | None:
    """Every model with every family of pairs, None if the run has no such table.

    Returns:
        ``paper``; ``example`` (`pair_example`, None without); ``views``, each with its ``model``
        and family ``pairs``, the numbers of pairs ``n`` drawn and ``n_known`` whose four prompts
        are all answered and all locate something, ``shown`` ("known" or "all": what the numbers
        are about), ``accuracy`` by prompt, ``cells`` (main part; same and other task, then both by
        chance), ``effects`` (name; effect, and the one that layers alone would have), ``verdict``,
        ``rates`` (rule, norm; C12, C11, C22, then the three by chance), ``curve`` (sets
        intersected; C11, C22) and ``remarks``.
    """
    frame = inputs.tables.get("decoupling")
    if frame is None or frame.is_empty():
        return None
    by_family = frame.partition_by("model", "dataset", maintain_order=True)
    example = None
    if "pair_samples" in inputs.files:
        example = pair_example(inputs.files["pair_samples"], inputs.files["pair_sets"])
    return {"paper": PAPER, "example": example, "views": [_view(own) for own in by_family]}


def findings(view: View) -> list[Finding]:
    """Do prompts that share the task locate more in common, or prompts that share the text?"""
    frame = view.inputs.tables.get("decoupling")
    # Pairs know no method: they are told of beside the first one.
    if frame is None or view.method != view.inputs.spec["methods"][0]:
        return []
    told, kinds = [], set()
    for own in matching(frame, model=view.model).partition_by("dataset", maintain_order=True):
        effects = _effects(matching(own, pairs=_shown(own)))
        task, main = effects["task"][0], effects["main part"][0]
        if task.has_value and main.has_value:
            kinds.add(stronger := _stronger(task, main))
            told.append(
                f"{own['dataset'][0]}: {stronger or 'not told apart'} (same task {_span(task)}, "
                f"same text {_span(main)} points)"
            )
    if not told:
        return []
    tone: Tone = "against" if kinds == {"the text"} else "mixed"
    if kinds == {"the task"}:
        tone = "supports"
    text = "What decides more which neurons a prompt locates, in paired prompts: "
    return [Finding(tone, "One text, two tasks", f"{text}{'; '.join(told)}.")]


def _view(frame: pl.DataFrame) -> dict[str, Any]:
    counts = {group: row(frame, metric="pairs", pairs=group) or {} for group in ("known", "all")}
    shown = _shown(frame)
    own = matching(frame, pairs=shown)
    effects = _effects(own)
    return {
        "model": frame["model"][0],
        "pairs": frame["dataset"][0],
        "n": counts["all"]["n"],
        "n_known": int(counts["known"]["value"]),
        "shown": shown,
        "accuracy": {
            name: number(frame, metric="accuracy", comparison=name)
            for name in matching(frame, metric="accuracy")["comparison"]
        },
        "cells": {
            part: [
                number(own, metric="coincidence", comparison=f"{part}, {task}", control=control)
                for control in _CONTROLS
                for task in ("same task", "other task")
            ]
            for part in ("same main part", "other main part")
        },
        "effects": effects,
        "verdict": _verdict(effects["task"][0], effects["main part"][0]),
        "rates": _rates(matching(own, metric="coincidence")),
        "curve": {
            m: [number(own, metric="curve", n_sets=m, comparison=rate) for rate in ("C11", "C22")]
            for m in matching(own, metric="curve")["n_sets"].unique().sort()
        },
        "remarks": remarks(frame, _REMARKS),
    }


def _shown(frame: pl.DataFrame) -> str:
    """The numbers are about the pairs that the model answers, if there are enough of them."""
    known = number(frame, pairs="known", metric="effect", comparison="task", control="")
    return "known" if known.has_value else "all"


def _effects(frame: pl.DataFrame) -> dict[str, list[Number]]:
    """Each effect, and the one that layers alone would have."""
    return {
        name: [
            number(frame, metric="effect", comparison=name, control=control)
            for control in _CONTROLS
        ]
        for name in ("task", "main part", "interaction")
    }


def _rates(frame: pl.DataFrame) -> list[tuple[str, str, list[Number]]]:
    """The rule of knowledge neurons first, then the top shares by size; `size` before `LJ`."""
    rates = frame.filter(pl.col("comparison").is_in(list(PAPER)), pl.col("norm") != "")
    leading = pl.col("rule").str.extract(r"([0-9.]+)").cast(pl.Float64)
    rules = rates.select("rule", "norm").unique(maintain_order=True)
    rules = rules.sort(
        pl.col("rule").str.starts_with("top"), leading, pl.col("norm") != "size",
        maintain_order=True,
    )  # fmt: skip
    return [
        (rule, norm, [
            number(rates, rule=rule, norm=norm, comparison=rate, control=control)
            for control in _CONTROLS
            for rate in PAPER
        ])
        for rule, norm in rules.rows()
    ]  # fmt: skip


def _verdict(task: Number, main: Number) -> str:
    """One sentence from the two main effects, and what it does not say."""
    if task.value is None or main.value is None:
        return f"No statement about tasks or texts: {task.reason}."
    parts = [_share("task", task), _share("text", main)]
    stronger = _stronger(task, main)
    if stronger:
        weaker = "the text" if stronger == "the task" else "the task"
        parts.append(f"the located neurons follow {stronger} more than {weaker}")
    else:
        parts.append("the two are not told apart in size")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}. Which neurons carry either, common sets do not show."


def _stronger(task: Number, main: Number) -> str:
    """Which effect is larger with its whole interval; empty if none is."""
    if task.bottom > main.top:
        return "the task"
    return "the text" if main.bottom > task.top else ""


def _span(found: Number) -> str:
    return f"{points(found.value or 0.0)} ({points(found.bottom)} to {points(found.top)})"


def _share(what: str, found: Number) -> str:
    ends = in_points(found, signed=False)
    if found.bottom > 0:
        return f"prompts with the same {what} share {ends} more than prompts with another {what}"
    if found.top < 0:
        return f"prompts with the same {what} share {ends} less than prompts with another {what}"
    return f"whether the {what} is the same makes no clear difference, {ends}"
