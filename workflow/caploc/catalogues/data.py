"""Data sets and sets of facts."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from caploc.settings import Count, Positive, Rule

__all__ = ["FactsEntry", "FactsSource", "Samples", "TaskEntry", "TaskSource", "Tokens"]

_PATHS = [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": "string"}}]


@dataclass(frozen=True, slots=True)
class Samples:
    """How many samples each split holds; the four never share a prompt.

    Attributes:
        locate: samples whose neuron scores are averaged
        train: samples for fine-tuning
        validation: samples for choosing settings
        test: samples read once, for the tables
    """

    locate: Count = 1000
    train: Count = 1000
    validation: Count = 200
    test: Count = 500


@dataclass(frozen=True, slots=True)
class Tokens:
    """Mean lengths for `caploc plan`, until the samples of the run are there.

    Attributes:
        prompt: tokens of a prompt
        answer: tokens of an answer
    """

    prompt: Positive
    answer: Positive


@dataclass(frozen=True, kw_only=True)
class TaskSource:
    """Where the samples of a task come from.

    Attributes:
        plugin: a file in workflow/caploc/tasks; `generic` needs files or repo, prompt and
            answer
        samples: how many samples each split holds; the four never share a prompt
        repo: Hugging Face data set instead of the plug-in's own
        revision: commit, tag or branch of the data set; default main
        files: local copies instead of the hub: a path, a list, or {split: path or list}
        format: format of files; default by their ending
        header: column names of a csv or tsv without a header line
        columns: {name the task expects: name in the file}
        labels: words for label numbers 0 1 2 ...
        prompt: prompt template with {column} places
        answer: answer template with {column} places
        chat: prompts are messages of a user, in the chat template of each model
        system: system text of the chat
    """

    plugin: str
    samples: Samples = field(default_factory=Samples)
    repo: str | None = None
    revision: str | None = None
    files: (
        Annotated[
            Any,
            Rule(
                anyOf=[
                    *_PATHS,
                    {
                        "type": "object",
                        "minProperties": 1,
                        "additionalProperties": {"anyOf": _PATHS},
                    },
                ]
            ),
        ]
        | None
    ) = None
    format: Literal["jsonl", "json", "csv", "tsv", "parquet", "text"] | None = None
    header: tuple[str, ...] | None = None
    columns: dict[str, str] | None = None
    labels: tuple[str, ...] | None = None
    prompt: Annotated[str, Rule(minLength=1)] | None = None
    answer: Annotated[str, Rule(minLength=1)] | None = None
    chat: bool = False
    system: Annotated[str, Rule(minLength=1)] | None = None


@dataclass(frozen=True, kw_only=True)
class TaskEntry(TaskSource):
    """A data set.

    Attributes:
        title: how the report calls it; default the plug-in's title
        capability: mathematics, code, language, knowledge, ...; default the plug-in's
        tokens: mean lengths for `caploc plan`, until the samples of the run are there; default
            typical lengths of the plug-in
    """

    title: str | None = None
    capability: str | None = None
    tokens: Tokens | None = None


@dataclass(frozen=True, kw_only=True)
class FactsSource:
    """Where single facts come from.

    Attributes:
        plugin: a file in workflow/caploc/facts
        n: facts drawn at random from the usable ones
        repo: Hugging Face data set instead of the plug-in's own
        revision: commit, tag or branch of the data set; default main
        files: local copy instead of the hub: a file; for pararel and lre the folder as
            published
        format: format of files; default by their ending
        columns: {name the data set is known by: name in the file}
    """

    plugin: str
    n: Count = 1000
    repo: str | None = None
    revision: str | None = None
    files: str | None = None
    format: Literal["jsonl", "json", "csv", "tsv", "parquet"] | None = None
    columns: dict[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class FactsEntry(FactsSource):
    """A set of single facts.

    Attributes:
        title: how the report calls it; default the plug-in's title
    """

    title: str | None = None
