"""Where a prompt names what a fact is about."""

import re

from caploc.records import Dropped

__all__ = ["asked_about", "place_of", "relation_of"]


def place_of(subject: str, prompt: str) -> tuple[int, int]:
    """First character of the subject in a prompt, and the one behind its last.

    It is looked for as a word of its own first: "time" does not stand in "sentiment".

    Raises:
        Dropped: it stands nowhere, or more than once.
    """
    name = re.escape(subject)
    places = [*re.finditer(rf"(?<!\w){name}(?!\w)", prompt)] or [*re.finditer(name, prompt)]
    if not places:
        raise Dropped("subject not found in the prompt")
    if len(places) > 1:
        raise Dropped("subject stands more than once in the prompt")
    return places[0].span()


def asked_about(other: str, prompt: str, subject: str) -> str:
    """The prompt with another subject.

    Raises:
        Dropped: as `place_of`.
    """
    start, end = place_of(subject, prompt)
    return prompt[:start] + other + prompt[end:]


def relation_of(prompt: str, subject: str) -> str:
    """The prompt with "{}" as its subject: names a relation where the data set does not."""
    try:
        return asked_about("{}", prompt, subject)
    except Dropped:
        return prompt
