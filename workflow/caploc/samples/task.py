"""The contract of a task: where its samples come from, and when an answer counts as right."""

import random
import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from math import isfinite
from typing import Any, Literal

from caploc.records import DataError, Dropped
from caploc.samples.labels import label_word
from caploc.samples.splits import prompt_digest

__all__ = [
    "Answered",
    "Capability",
    "Form",
    "HubSource",
    "Task",
    "held_out_by_prompt",
    "template_columns",
    "text_of",
]

# JSON can hold one, no other file can.
_SURROGATE = re.compile("[\ud800-\udfff]")
Capability = Literal["mathematics", "code", "language", "knowledge", "extraction", "text"]
Form = Literal["number", "label", "program", "text"]
Answered = tuple[str, str, dict[str, str]]
"""Prompt, gold answer, and what later stages may need."""


def held_out_by_prompt(prompt: str, meta: Mapping[str, str]) -> bool:
    """Keep about half of all prompts from the embedded model: evaluation prompts.

    The rule reads the prompt alone, so neither side depends on how many samples anyone draws.
    """
    return int(prompt_digest(prompt)[0], 16) % 2 == 0


@dataclass(frozen=True, slots=True)
class HubSource:
    """A data set on the Hugging Face hub.

    Attributes:
        repo: data-set repository.
        config: configuration name, or None for the only one.
        splits: names of its parts that are read. ``test`` and ``validation`` feed our splits of
            that name; everything else, and every data set of one part, is cut into what is left.
        columns: columns that each row must have.
    """

    repo: str
    config: str | None
    splits: tuple[str, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """One data set, generated here or read from rows.

    Attributes:
        title: name for the report.
        capability: what answering takes.
        score: ``score(answer, completion)``: is the completion right? Both without the prompt.
        generate: pure function of a random generator to one sample; for generated tasks.
        population: all samples of a generated task that has few (then `generate` picks one).
        is_held_out: ``is_held_out(prompt, meta)``: evaluation only, never in training text.
        source: where rows come from unless the config names files or another repository.
        prompt: template over the fields of a row, e.g. ``Question: {question}``.
        answer: template of the gold answer.
        derive: ``derive(fields, labels)``: further fields of a row, and those named ``meta_...``;
            raises `Dropped` for a row that cannot be used.
        labels: words for the label numbers 0, 1, 2, ... of the columns of the answer.
        form: what an answer looks like: it ends in a number, it is one of `labels`, it is a Python
            program, or it is any text.
    """

    title: str
    capability: Capability
    score: Callable[[str, str], bool]
    generate: Callable[[random.Random], Answered] | None = None
    population: Callable[[], Sequence[Answered]] | None = None
    is_held_out: Callable[[str, Mapping[str, str]], bool] = held_out_by_prompt
    source: HubSource | None = None
    prompt: str = ""
    answer: str = ""
    derive: Callable[[Mapping[str, str], Sequence[str]], dict[str, str]] | None = None
    labels: tuple[str, ...] = ()
    form: Form = "text"

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that a row must have, under the names the task uses."""
        if self.source is not None:
            return self.source.columns
        return tuple(dict.fromkeys(template_columns(self.prompt) + template_columns(self.answer)))

    def to_sample(self, row: Mapping[str, Any]) -> Answered:
        """Turn one row into prompt, answer and meta.

        Args:
            row: columns under the names the task uses; other columns are kept for templates.

        Raises:
            Dropped: the row cannot become a sample; the message is the reason.
            DataError: a template names a column that is not there.
        """
        fields = _Fields(row)
        if self.derive is not None:
            fields = _Fields({**row, **self.derive(fields, self.labels)})
        elif self.labels:
            named = [name for name in template_columns(self.answer) if name in row]
            words = {name: label_word(fields[name], self.labels) for name in named}
            fields = _Fields({**row, **words})
        prompt, answer = (_filled(template, fields) for template in (self.prompt, self.answer))
        if not prompt.strip():
            raise Dropped("empty prompt")
        if not answer.strip():
            raise Dropped("empty answer")
        meta = {k.removeprefix("meta_"): fields[k] for k in fields if k.startswith("meta_")}
        return prompt, answer, meta


def template_columns(template: str) -> tuple[str, ...]:
    """Names in braces, in order.

    Raises:
        DataError: the template is not valid, or a place has no name.
    """
    try:
        places = [part[1:] for part in string.Formatter().parse(template) if part[1] is not None]
    except ValueError as error:
        raise DataError(
            f"template {template!r}: {error}; write {{{{ and }}}} for literal braces"
        ) from None
    names = [str(name) for name, *_ in places]
    # A width or a conversion in it could fill the memory.
    if not all(name.isidentifier() for name in names) or any(a or b for _, a, b in places):
        raise DataError(
            f"template {template!r}: a place must be a column name alone, found {names}; write "
            "{{ and }} for literal braces"
        )
    return tuple(names)


def _filled(template: str, fields: Mapping[str, str]) -> str:
    missing = [name for name in template_columns(template) if name not in fields]
    if missing:
        raise DataError(
            f"template {template!r}: no column {missing[0]!r}; found {sorted(fields)}; correct the "
            "template or rename with `columns`"
        )
    return template.format_map(fields)


class _Fields(Mapping[str, str]):
    """A row as text, each column when it is asked for: what nobody uses may hold anything."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self._row = row

    def __getitem__(self, name: str) -> str:
        return text_of(self._row[name], name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._row)

    def __len__(self) -> int:
        return len(self._row)


def text_of(value: Any, column: str) -> str:
    """A value of a data set as text: text as it is with plain line ends, null as "".

    Args:
        value: what a file or the hub holds.
        column: its name, for the message.

    Raises:
        Dropped: neither text nor number, boolean or date, or a number that is not finite.
    """
    if value is None:
        return ""
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError:
            raise Dropped(f"column {column!r} holds bytes that are no UTF-8 text") from None
    if isinstance(value, str):
        if _SURROGATE.search(value):
            raise Dropped(f"column {column!r} holds half a character (a single surrogate)")
        return value.replace("\r\n", "\n").replace("\r", "\n")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, float) and not isfinite(value):
        raise Dropped(f"column {column!r} is {value}")
    if isinstance(value, int | float | Decimal):
        return str(value)
    raise Dropped(f"column {column!r} holds a {type(value).__name__}")
