"""What a notebook gives: a model with its tokenizer, and samples as texts, tables or records."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import polars as pl

from caploc.attribution.public import untouched
from caploc.models.language_model import LanguageModel
from caploc.records import DataError, Dropped, Sample

__all__ = ["Pairs", "encoded", "read_samples", "wrapped"]

Pairs = Sequence[tuple[str, str] | Sample] | pl.DataFrame
"""Samples: (prompt, answer) texts, a table with these two columns, or `Sample`s."""


@contextmanager
def wrapped(model: Any, tokenizer: Any) -> Iterator[LanguageModel]:
    """The model with its tokenizer, as it was on exit."""
    with untouched(model) as lm:
        yield replace(lm, tokenizer=tokenizer)


def read_samples(given: Pairs, where: str) -> list[Sample]:
    """Samples of any form, each with an id of its own.

    Args:
        given: the samples.
        where: what they are, for messages.

    Raises:
        DataError: none, or one that is no pair of texts.
    """
    ones: Sequence[Any] = [] if isinstance(given, pl.DataFrame) else given
    if isinstance(given, pl.DataFrame):
        absent = {"prompt", "answer"} - set(given.columns)
        if absent:
            raise DataError(
                f"{where}: the table has no column {sorted(absent)[0]!r}, it has "
                f"{', '.join(given.columns)}; rename its columns to prompt and answer"
            )
        ones = list(given.select("prompt", "answer").iter_rows())
    found = []
    for i, one in enumerate(ones):
        if isinstance(one, Sample):
            found.append(one)
        elif not isinstance(one, str) and len(one) == 2 and all(isinstance(x, str) for x in one):
            found.append(Sample(str(i), *one))
        else:
            raise DataError(
                f"{where}[{i}]: expected a pair of texts (prompt, answer), found {one!r:.60}"
            )
    if not found:
        raise DataError(f"{where}: no samples")
    return found


def encoded(
    lm: LanguageModel, samples: Sequence[Sample]
) -> tuple[list[int], list[list[int]], list[list[int]]]:
    """Index, prompt and answer tokens of the samples that fit."""
    kept, prompts, answers = [], [], []
    for i, sample in enumerate(samples):
        try:
            prompt, answer = lm.encode(sample.prompt, sample.answer)
        except Dropped:
            continue
        kept.append(i)
        prompts.append(prompt)
        answers.append(answer)
    return kept, prompts, answers
