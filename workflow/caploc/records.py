"""The records that travel between stages, and the error for files that cannot be used."""

from dataclasses import dataclass, field

__all__ = ["DataError", "Dropped", "Fact", "Sample"]


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


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact with several ways to ask for it.

    Every prompt ends where the object follows, after a space.

    Attributes:
        fact_id: unique within a data set.
        subject: what the fact is about, as it stands in the prompts.
        relation: name, number or template; facts with equal relation ask for the same property.
        object: the gold answer, without the space in front.
        prompts: the original first, then the same question by other templates of the relation.
        paraphrases: rewrites that came with the data set.
        neighbourhood: prompts about other subjects that an edit of this fact must leave alone.
        new_object: false object that an edit would write; empty if the data set has none.
    """

    fact_id: str
    subject: str
    relation: str
    object: str
    prompts: tuple[str, ...]
    paraphrases: tuple[str, ...] = ()
    neighbourhood: tuple[str, ...] = ()
    new_object: str = ""
