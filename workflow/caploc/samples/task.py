"""The contract of a task: where its samples come from, and when an answer counts as right."""

import json
import random
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from caploc.records import DataError, Dropped
from caploc.samples.splits import prompt_digest

__all__ = [
    "Answered",
    "Capability",
    "Form",
    "HubSource",
    "Task",
    "held_out_by_prompt",
    "template_columns",
]

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
        labels: words for the label numbers 0, 1, 2, ...
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
    derive: Callable[[dict[str, str], Sequence[str]], dict[str, str]] | None = None
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
        fields = {name: _text(value) for name, value in row.items()}
        if self.derive is not None:
            fields |= self.derive(fields, self.labels)
        prompt, answer = (_filled(template, fields) for template in (self.prompt, self.answer))
        if not prompt.strip():
            raise Dropped("empty prompt")
        if not answer.strip():
            raise Dropped("empty answer")
        meta = {k.removeprefix("meta_"): v for k, v in fields.items() if k.startswith("meta_")}
        return prompt, answer, meta


def template_columns(template: str) -> tuple[str, ...]:
    """Names in braces, in order.

    Raises:
        DataError: the template is not valid, or a place has no name.
    """
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise DataError(
            f"template {template!r}: {error}; write {{{{ and }}}} for literal braces"
        ) from None
    if not all(name.isidentifier() for name in names):
        raise DataError(
            f"template {template!r}: a place must be a column name, found {names}; write {{{{ and "
            "}} for literal braces"
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


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value.replace("\r\n", "\n").replace("\r", "\n")
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
