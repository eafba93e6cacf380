"""Instructions to short Python programs.

One sample (prompt, then answer)::

    Write a loop that prints every number from 3 to 8 above 5.
    Code:
    for i in range(3, 9):
        if i > 5:
            print(i)
"""

import random

from caploc.samples.scoring import same_code
from caploc.samples.task import Answered, Task

__all__ = ["TASK"]

_NAMES = ("grow", "shift", "scale", "change", "update", "apply", "move", "turn")
_ARGUMENTS = ("n", "k", "size", "price", "total", "level", "width", "count")
_OPERATIONS = (
    ("adds {n}", "{x} + {n}"),
    ("takes away {n}", "{x} - {n}"),
    ("multiplies by {n}", "{x} * {n}"),
    ("divides by {n}", "{x} / {n}"),
)
_COMPARISONS = (("above", ">"), ("below", "<"))


def _function(rng: random.Random) -> tuple[str, str]:
    name, argument = rng.choice(_NAMES), rng.choice(_ARGUMENTS)
    told, code = [], argument
    for _ in range(rng.randint(1, 3)):
        words, expression = rng.choice(_OPERATIONS)
        n = rng.randint(2, 12)
        told.append(words.format(n=n))
        # Brackets keep the order in which the instruction names the operations.
        code = expression.format(x=code if code == argument else f"({code})", n=n)
    what = ", then ".join(told)
    return (
        f"Write a function {name} of {argument} that {what}.",
        f"def {name}({argument}):\n    return {code}",
    )


def _loop(rng: random.Random) -> tuple[str, str]:
    start, length = rng.randint(0, 14), rng.randint(2, 14)
    stop = start + length
    step = rng.choice((1, 1, 2, 3))
    which = {1: "every number", 2: "every second number", 3: "every third number"}[step]
    told = f"Write a loop that prints {which} from {start} to {stop}"
    # The instruction includes the last number, range does not.
    arguments = f"{start}, {stop + 1}" + (f", {step}" if step > 1 else "")
    code = f"for i in range({arguments}):\n"
    if rng.random() < 0.5:
        return f"{told}.", code + "    print(i)"
    words, sign = rng.choice(_COMPARISONS)
    limit = rng.randint(start, stop)
    return f"{told} {words} {limit}.", code + f"    if i {sign} {limit}:\n        print(i)"


def _generate(rng: random.Random) -> Answered:
    kind, make = rng.choice((("function", _function), ("loop", _loop)))
    instruction, code = make(rng)
    return f"{instruction}\nCode:\n", code, {"kind": kind}


TASK = Task(
    title="Code writing", capability="code", score=same_code, generate=_generate, form="program"
)
