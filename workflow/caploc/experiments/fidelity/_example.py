"""One fact, asked in two ways and located twice: the worked example of the section."""

from pathlib import Path
from typing import Any

import polars as pl

from caploc.files.tables import TEXT, Schema, read, texts
from caploc.report.worked_examples import beside_the_first

__all__ = ["fact_example"]

_NAMED: Schema = {"fact_id": TEXT, "prompt_id": pl.Int16}
_PROMPTS: Schema = {**_NAMED, **texts("kind", "prompt", "object"), "correct": pl.Boolean}
_SETS: Schema = {**_NAMED, "rule": TEXT, "units": pl.List(pl.Int32)}


def fact_example(prompts: Path, sets: Path) -> dict[str, Any] | None:
    """The first fact whose original prompt and a rewrite both locate something, None without.

    A fact that the model knows is preferred.

    Args:
        prompts: prompts of a set of facts, checked with a model.
        sets: what a locator found for them; of several rules the first one counts.

    Returns:
        ``rule`` (which units count as located), ``answer`` (object of the fact), ``known`` (the
        model completes both prompts), and both ``prompts``, the original one first.

    Raises:
        DataError: a damaged file.
    """
    first_rule = pl.col("rule") == pl.col("rule").first()
    located = read(sets, _SETS).filter(first_rule, pl.col("units").list.len() > 0)
    found = read(prompts, _PROMPTS).join(located, on=list(_NAMED), maintain_order="left")
    original = pl.col("kind") == "original"
    # The original prompt and the first rewrite of every fact that has both.
    both = (
        found.unique(["fact_id", original], keep="first", maintain_order=True)
        .filter(pl.len().over("fact_id") == 2)
        .with_columns(known=pl.col("correct").all().over("fact_id"))
        .sort("known", descending=True, maintain_order=True)
        .filter(pl.col("fact_id") == pl.col("fact_id").first())
        .with_columns(
            what=pl.when(original)
            .then(pl.lit(""))
            .otherwise(pl.lit("the same fact in other words"))
        )
    )
    if both.is_empty():
        return None
    first = both.row(0, named=True)
    return {
        "rule": first["rule"],
        "answer": first["object"],
        "known": first["known"],
        "prompts": beside_the_first(both),
    }
