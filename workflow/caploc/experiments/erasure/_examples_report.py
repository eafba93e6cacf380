"""Ability by ability: its strongest neurons, and what the model says with and without them."""

from typing import Any

import polars as pl

from caploc.report.numbers import matching
from caploc.report.views import View

__all__ = ["abilities"]

_QUESTIONS = 2
_STRONGEST = 10
_SHOWN = 44
"""Characters of a prompt, from its end."""


def abilities(view: View) -> list[dict[str, Any]]:
    """Each task that was asked: ``task``, ``neurons`` by strength, ``questions`` in their order."""
    asked, found = view.rows("examples"), []
    z = matching(view.rows("neurons", metric="z"), mask=view.mask)
    for task in view.inputs.tasks:
        questions = matching(asked, dataset=task.id).head(_QUESTIONS)
        if not questions.is_empty():
            own = matching(z, dataset=task.id).sort(pl.col("value").abs(), descending=True)
            found.append(
                {
                    "task": task,
                    "neurons": own.head(_STRONGEST).to_dicts(),
                    "questions": [_shown(one) for one in questions.to_dicts()],
                }
            )
    return found


def _shown(row: dict[str, str]) -> dict[str, str]:
    prompt = _line(row["prompt"])
    if len(prompt) > _SHOWN:
        end = prompt[-_SHOWN:]
        prompt = "\N{HORIZONTAL ELLIPSIS} " + (end.partition(" ")[2] or end)
    said = {name: _line(row[name]) for name in ("answer", "unchanged", "located", "random")}
    return {"prompt": prompt} | said


def _line(text: str) -> str:
    """Text in one line; what cannot be printed is a blank."""
    marked = text.strip().replace("\n", " \N{DOWNWARDS ARROW WITH CORNER LEFTWARDS} ")
    return "".join(c if c.isprintable() else " " for c in marked)
