"""Arithmetic in words: the capability of `word_problems` without a template or content word of it.

No digit, no sign, no story. One sample (prompt, then answer)::

    Add five to seven, subtract three.
    Result:
     twelve; nine
"""

import random

from caploc.samples.scoring import same_text
from caploc.samples.task import Answered, Task

__all__ = ["LARGEST", "TASK", "spelled"]

LARGEST = 20
"""No number is larger, so nearly every number is one word."""
_UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def spelled(number: int) -> str:
    """A number from 0 to 99 in words, e.g. ``forty two``."""
    if not 0 <= number < 100:
        raise ValueError(f"number must be 0 to 99, found {number}")
    if number < 20:
        return _UNITS[number]
    tens, unit = divmod(number, 10)
    return _TENS[tens] + (f" {_UNITS[unit]}" if unit else "")


# Every prompt begins with a verb, so no number needs a capital.
_FIRST_GAIN = ("Add {b} to {a}", "Increase {a} by {b}", "Compute {a} plus {b}")
_FIRST_LOSS = ("Subtract {b} from {a}", "Reduce {a} by {b}", "Compute {a} minus {b}")
_NEXT_GAIN = (", add {b}", ", plus {b}")
_NEXT_LOSS = (", subtract {b}", ", minus {b}")


def _generate(rng: random.Random) -> Answered:
    amount = rng.randint(2, LARGEST - 2)
    text, results = "", []
    for step in range(rng.randint(1, 2)):
        gains = amount < LARGEST and (amount < 2 or rng.random() < 0.5)
        change = rng.randint(1, LARGEST - amount) if gains else rng.randint(1, amount - 1)
        if step == 0:
            template = rng.choice(_FIRST_GAIN if gains else _FIRST_LOSS)
        else:
            template = rng.choice(_NEXT_GAIN if gains else _NEXT_LOSS)
        text += template.format(a=spelled(amount), b=spelled(change))
        amount += change if gains else -change
        results.append(spelled(amount))
    return (
        f"{text}.\nResult:",
        " " + "; ".join(results),
        {"number": str(amount), "steps": str(len(results))},
    )


def _score(answer: str, completion: str) -> bool:
    # Only the last result counts, as after #### in the word problems.
    return same_text(answer.rsplit(";", 1)[-1], completion.rsplit(";", 1)[-1])


TASK = Task(title="Number words", capability="mathematics", score=_score, generate=_generate)
