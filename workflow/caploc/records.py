"""The records that travel between stages, and the error for files that cannot be used."""

from dataclasses import dataclass, field

__all__ = ["DataError", "Dropped", "Sample"]


class DataError(Exception):
    """A file or setting cannot be used.

    The message names the file, the record, what was found, what was expected and the remedy; the
    command line prints it as one line, without a traceback, and exits with status 2.
    """


class Dropped(Exception):
    """One record cannot become a sample; the message is the reason that is counted."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One question with its gold answer.

    Attributes:
        sample_id: unique within a task.
        prompt: text before the answer, as the model reads it (no beginning-of-text token).
        answer: gold answer text, scored token by token after the prompt.
        meta: strings that later stages may need (label, number, source row).
    """

    sample_id: str
    prompt: str
    answer: str
    meta: dict[str, str] = field(default_factory=dict)
