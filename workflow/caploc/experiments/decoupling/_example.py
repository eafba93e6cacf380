"""One text under two tasks, beside another text: the worked example of the section."""

from pathlib import Path
from typing import Any

import polars as pl

from caploc.files.tables import Schema, read, texts
from caploc.report.worked_examples import beside_the_first

__all__ = ["pair_example"]

_NAMED = ["pair_id", "part", "form"]
_SAMPLES: Schema = texts(*_NAMED, "prompt")
_SETS: Schema = {**texts(*_NAMED), "correct": pl.Boolean, "units": pl.List(pl.Int32)}
# Pair, part (task) and form of the prompts that are shown, and what they share with the first.
_SHOWN = pl.DataFrame(
    [
        (0, "1", "0", ""),
        (0, "1", "1", "same text, same task"),
        (0, "2", "0", "same text, other task"),
        (1, "1", "0", "other text, same task"),
        (1, "2", "0", "other text, other task"),
    ],
    schema=["pair", "part", "form", "what"],
    orient="row",
)


def pair_example(samples: Path, sets: Path) -> list[dict[str, Any]] | None:
    """Prompts of the first two pairs whose four prompts all locate something, None without.

    Pairs whose prompts the model answers are preferred.

    Args:
        samples: prompts of a family of pairs.
        sets: what was located for them.

    Returns:
        Five prompts: one, and others that share its text, its task, both or neither.

    Raises:
        DataError: a damaged file.
    """
    located = read(sets, _SETS).filter(pl.col("units").list.len() > 0)
    found = read(samples, _SAMPLES).join(located, on=_NAMED, maintain_order="left")
    whole = (
        found.group_by("pair_id", maintain_order=True)
        .agg(pl.len(), pl.col("correct").all())
        .filter(pl.col("len") == 4)
        .sort("correct", descending=True, maintain_order=True)
        .with_row_index("pair")[:2]
    )
    if len(whole) < 2:
        return None
    shown = _SHOWN.join(whole.select(pl.col("pair").cast(int), "pair_id"), on="pair")
    return beside_the_first(shown.join(found, on=_NAMED, maintain_order="left"))
