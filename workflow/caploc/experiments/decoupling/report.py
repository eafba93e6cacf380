"""The section on paired samples: which rows of the table `decoupling` it is about."""

from typing import Any

import polars as pl

from caploc.experiments.decoupling._example import pair_example
from caploc.experiments.decoupling.table import DECOUPLING
from caploc.report.findings import Finding, Tone, stands
from caploc.report.formatting import Number, point_span
from caploc.report.inputs import Inputs
from caploc.report.numbers import matching, number
from caploc.report.templates import finding
from caploc.report.views import View, of_samples

__all__ = ["CONTENTS", "ORDER", "PAPER", "TABLES", "findings", "section"]

TABLES = {"decoupling": DECOUPLING}
ORDER = 70
CONTENTS = (("decoupling", "One text, two tasks"),)
PAPER = {"C12": 0.156, "C11": 0.073, "C22": 0.086}
"""Coincidence rates that the paper prints for knowledge neurons; normalisation and rule of the
located set are not printed."""


def section(inputs: Inputs) -> dict[str, Any] | None:
    """Every model with every family of pairs, None if the run has no such table.

    Returns:
        ``paper``; ``example`` (`pair_example`, None without); ``views``, each with its rows
        ``frame``, and ``own``, those about the pairs that are ``shown`` ("known" or "all"),
        and ``rules`` (rule and norm of the rates).
    """
    example = None
    if "pair_samples" in inputs.files:
        example = pair_example(inputs.files["pair_samples"], inputs.files["pair_sets"])
    found = [_view(frame) for frame in of_samples(inputs, "decoupling")]
    return {"paper": PAPER, "example": example, "views": found} if found else None


def findings(view: View) -> list[Finding]:
    """Do prompts that share the task locate more in common, or prompts that share the text?"""
    told = []
    for frame in of_samples(view.inputs, "decoupling", view):
        own = _view(frame)["own"]
        task, main = (_effect(own, name) for name in ("task", "main part"))
        stronger = stands(task, main)
        if stronger:
            told.append((frame["dataset"][0], stronger, point_span(task), point_span(main)))
    kinds = {stronger for _, stronger, _, _ in told}
    if not kinds:
        return []
    tone: Tone = "mixed" if kinds - {"below"} else "against"
    tone = "supports" if kinds == {"above"} else tone
    return [finding(tone, "One text, two tasks", "decoupling", "effects", told=told)]


def _view(frame: pl.DataFrame) -> dict[str, Any]:
    # About the pairs that the model answers, if there are enough of them.
    known = _effect(matching(frame, pairs="known"), "task").has_value
    own = matching(frame, pairs="known" if known else "all")
    found = {"frame": frame, "own": own, "shown": "known" if known else "all"}
    return found | {"rules": _rules(own)}


def _effect(frame: pl.DataFrame, name: str) -> Number:
    return number(frame, metric="effect", comparison=name, control="")


def _rules(frame: pl.DataFrame) -> list[tuple[str, str]]:
    """The rule of knowledge neurons first, then the top shares by size; `size` before `LJ`."""
    rates = frame.filter(pl.col("comparison").is_in(list(PAPER)), pl.col("norm") != "")
    leading = pl.col("rule").str.extract(r"([0-9.]+)").cast(pl.Float64)
    rules = matching(rates, metric="coincidence").select("rule", "norm")
    order = [pl.col("rule").str.starts_with("top"), leading, pl.col("norm") != "size"]
    return rules.unique(maintain_order=True).sort(order, maintain_order=True).rows()
