"""What a notebook gives: a model with its tokenizer, and samples as texts, tables or records."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import polars as pl

from caploc.attribution.public import untouched
from caploc.models.language_model import LanguageModel
from caploc.models.tokens import encode_text
from caploc.records import DataError, Dropped, Sample

__all__ = ["Pairs", "encoded", "read_samples", "wrapped"]

Pairs = Sequence[tuple[str, str] | Sample | Mapping[str, Any]] | pl.DataFrame
"""Samples: (prompt, answer) texts, a table of polars or datasets with these columns, `Sample`s."""


@contextmanager
def wrapped(model: Any, tokenizer: Any) -> Iterator[LanguageModel]:
    """The model with its tokenizer, as it was on exit."""
    with untouched(model) as lm:
        yield replace(lm, tokenizer=tokenizer)


def read_samples(given: Pairs, where: str, tokenizer: Any) -> list[Sample]:
    """Samples of any form, each with an id of its own.

    Args:
        given: the samples.
        where: what they are, for messages.
        tokenizer: of the model that will read them.

    Raises:
        DataError: none, one that is no pair of texts, an answer that begins inside a token, or a
            tokenizer that gives no character spans.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise DataError(
            f"{type(tokenizer).__name__} gives no character spans; expected a fast tokenizer of "
            "transformers, as AutoTokenizer.from_pretrained loads it"
        )
    found = []
    for i, row in enumerate(
        given.iter_rows(named=True) if isinstance(given, pl.DataFrame) else given
    ):
        one: Any = row
        if isinstance(row, Mapping):
            absent = {"prompt", "answer"} - set(row)
            if absent:
                raise DataError(
                    f"{where}: the table has no column {sorted(absent)[0]!r}, it has "
                    f"{', '.join(row)}; rename its columns to prompt and answer"
                )
            one = (row["prompt"], row["answer"])
        if isinstance(one, Sample):
            found.append(one)
        elif not isinstance(one, str) and len(one) == 2 and all(isinstance(x, str) for x in one):
            found.append(Sample(str(i), *one))
        else:
            raise DataError(
                f"{where}[{i}]: expected a pair of texts (prompt, answer), found {one!r:.60}"
            )
        _refuse_merging(tokenizer, found[-1], f"{where}[{i}]")
    if not found:
        raise DataError(f"{where}: no samples")
    return found


def _refuse_merging(tokenizer: Any, sample: Sample, where: str) -> None:
    """An answer that shares its first token with the prompt would be scored with a part of it."""
    text, border = sample.prompt + sample.answer, len(sample.prompt)
    for first, end in encode_text(tokenizer, text)[1]:
        if first < border < end and text[first:border].strip():
            raise DataError(
                f"{where}: one token, {text[first:end]!r}, is the end of the prompt and the begin "
                f"of the answer {sample.answer!r:.40}; begin the answer with a space"
            )


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
