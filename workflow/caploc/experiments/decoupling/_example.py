"""One text under two tasks, beside another text: the worked example of the section."""

from dataclasses import dataclass

import polars as pl

from caploc.report import numbers
from caploc.report.worked_examples import Located, located

__all__ = ["SAMPLES", "SETS", "PairExample", "pair_example"]

_NAMED = ("pair_id", "part", "form")
SAMPLES = ("pair_id", "part", "form", "prompt", "answer")
SETS = ("pair_id", "part", "form", "correct", "units")


@dataclass(frozen=True, slots=True)
class PairExample:
    """One prompt and four others that share its text, its task, both or neither."""

    answer: str
    first: Located
    others: tuple[Located, ...]


def pair_example(samples: pl.DataFrame, sets: pl.DataFrame) -> PairExample | None:
    """The first two pairs whose four prompts all locate something, None where fewer do.

    Pairs whose prompts the model answers are preferred.

    Args:
        samples: columns `SAMPLES`, one row a prompt.
        sets: columns `SETS`.
    """
    found = samples.join(
        sets.filter(pl.col("units").list.len() > 0), on=_NAMED, maintain_order="left"
    )
    whole = (
        found.group_by("pair_id", maintain_order=True)
        .agg(pl.len(), pl.col("correct").all())
        .filter(pl.col("len") == 4)
        .sort("correct", descending=True, maintain_order=True)
    )
    if len(whole) < 2:
        return None
    one, other = whole["pair_id"][:2]
    first = numbers.row(found, pair_id=one, part="1", form="0") or {}
    compared = (
        ("same text, same task", one, "1", "1"),
        ("same text, other task", one, "2", "0"),
        ("other text, same task", other, "1", "0"),
        ("other text, other task", other, "2", "0"),
    )
    others = []
    for what, pair, part, form in compared:
        beside = numbers.row(found, pair_id=pair, part=part, form=form) or {}
        others.append(located(what, beside["prompt"], beside["units"], first["units"]))
    return PairExample(
        answer=first["answer"].strip(),
        first=located("", first["prompt"], first["units"], first["units"]),
        others=tuple(others),
    )
