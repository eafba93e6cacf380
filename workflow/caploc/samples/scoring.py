"""When two answers are the same: as numbers, words, text or programs."""

import ast
import re
from fractions import Fraction

__all__ = ["first_word", "is_program", "marked_number", "number", "same_code", "same_first_word",
           "same_marked_number", "same_text"]  # fmt: skip

_MARKED = re.compile(r"####([^\n]*)")
_NUMBER = re.compile(r"-?\$?\d[\d,]*(?:\.\d+)?(?:/\d+)?|-?\$?\.\d+")


def number(text: str) -> Fraction | None:
    """The last number in a text; ``1,000``, ``$5.50`` and ``3/4`` are understood."""
    found = _NUMBER.findall(text)
    if not found:
        return None
    try:
        return Fraction(found[-1].replace(",", "").replace("$", ""))
    except (ZeroDivisionError, ValueError):  # Python reads 4,300 digits at most
        return None


def marked_number(text: str) -> Fraction | None:
    """The number on the first line marked ``####``: what GSM8K counts as the answer.

    The first one, because a model that does not stop goes on to invent another question.
    """
    found = _MARKED.search(text)
    return None if found is None else number(found.group(1))


def same_marked_number(answer: str, completion: str) -> bool:
    """Strict: the completion must mark its result with ``####``, and equal it as a number."""
    gold = marked_number(answer)
    return gold is not None and marked_number(completion) == gold


def same_text(answer: str, completion: str) -> bool:
    """Equal up to case, spacing within lines and a final full stop."""
    gold = _plain(answer)
    return bool(gold) and _plain(completion) == gold


def same_first_word(answer: str, completion: str) -> bool:
    """The first words are equal up to case and punctuation."""
    gold = first_word(answer)
    return bool(gold) and first_word(completion) == gold


def same_code(answer: str, completion: str) -> bool:
    """Equal syntax trees; equal text up to trailing spaces where one is not valid Python."""
    gold, given = _tree(answer), _tree(completion)
    if gold is not None and given is not None:
        return gold == given
    lines = [[line.rstrip() for line in text.strip().split("\n")] for text in (answer, completion)]
    return lines[0] == lines[1] != [""]


def _plain(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.strip().split("\n"))
    return "\n".join(lines).casefold().rstrip(".").rstrip()


def is_program(text: str) -> bool:
    """The text is a Python program of at least one statement."""
    return _tree(text) is not None


def first_word(text: str) -> str:
    """The first word of a text in lower case; empty if it has none."""
    words = re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text.casefold())
    return words[0] if words else ""


def _tree(text: str) -> str | None:
    try:
        tree = ast.parse(text.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return ast.dump(tree) if tree.body else None
