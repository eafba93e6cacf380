"""One fact, asked in two ways and located twice: the worked example of the section."""

from typing import Any

import polars as pl

from caploc.report.worked_examples import beside_the_first

__all__ = ["PROMPTS", "SETS", "fact_example"]

PROMPTS = ("fact_id", "prompt_id", "kind", "prompt", "object", "correct")
SETS = ("fact_id", "prompt_id", "rule", "units")


def fact_example(prompts: pl.DataFrame, sets: pl.DataFrame) -> dict[str, Any] | None:
    """The first fact whose original prompt and a rewrite both locate something, None without.

    A fact that the model knows is preferred.

    Args:
        prompts: columns `PROMPTS`, one row a prompt.
        sets: columns `SETS`; of several rules the first one counts.

    Returns:
        ``rule`` (which units count as located), ``answer`` (object of the fact), ``known`` (the
        model completes both prompts), and both ``prompts``, the original one first.
    """
    by_rule = sets.filter(pl.col("rule") == pl.col("rule").first(), pl.col("units").list.len() > 0)
    found = prompts.join(by_rule, on=["fact_id", "prompt_id"], maintain_order="left")
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
