"""One fact, asked in two ways and located twice: the worked example of the section."""

from dataclasses import dataclass

import polars as pl

from caploc.report.worked_examples import Located, located

__all__ = ["PROMPTS", "SETS", "FactExample", "fact_example"]

_NAMED = ("fact_id", "prompt_id")
PROMPTS = ("fact_id", "prompt_id", "kind", "prompt", "object", "correct")
SETS = ("fact_id", "prompt_id", "rule", "units")


@dataclass(frozen=True, slots=True)
class FactExample:
    """One fact.

    Attributes:
        locator: as the page calls it.
        rule: which units count as located.
        answer: object of the fact.
        known: the model completes both prompts.
        first: the original prompt.
        rewrite: the same fact in other words.
    """

    locator: str
    rule: str
    answer: str
    known: bool
    first: Located
    rewrite: Located


def fact_example(
    prompts: pl.DataFrame, sets: pl.DataFrame, locator: str
) -> FactExample | None:
    """The first fact whose original prompt and a rewrite both locate something, None without.

    A fact that the model knows is preferred.

    Args:
        prompts: columns `PROMPTS`, one row a prompt.
        sets: columns `SETS`; of several rules the first one counts.
        locator: title of the one that made them.
    """
    by_rule = sets.filter(pl.col("rule") == pl.col("rule").first(), pl.col("units").list.len() > 0)
    found = prompts.join(by_rule, on=_NAMED, maintain_order="left")
    original = pl.col("kind") == "original"
    rewrites = found.filter(~original).unique("fact_id", keep="first", maintain_order=True)
    both = (
        found.filter(original)
        .join(rewrites, on="fact_id", suffix="_rewrite", maintain_order="left")
        .with_columns(known=pl.col("correct") & pl.col("correct_rewrite"))
        .sort("known", descending=True, maintain_order=True)
    )
    if both.is_empty():
        return None
    fact = both.row(0, named=True)
    units = fact["units"]
    return FactExample(
        locator=locator,
        rule=fact["rule"],
        answer=fact["object"],
        known=fact["known"],
        first=located("", fact["prompt"], units, units),
        rewrite=located(
            "the same fact in other words", fact["prompt_rewrite"], fact["units_rewrite"], units
        ),
    )
