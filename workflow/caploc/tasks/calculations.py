"""Calculations with the same numbers: add or subtract (part 1), multiply or divide (part 2).

The main part tells something about two numbers, the replaceable part is a formula of them. Every
result is a whole number below 100. One sample (prompt, then answer)::

    Mia has 12 apples for 3 days. 12 * 3 =
     36
"""

from functools import cache

from caploc.samples.paired import held_out_by_main
from caploc.samples.scoring import same_text
from caploc.samples.task import Answered, Task
from caploc.tasks._world import NAMES, THINGS

__all__ = ["TASK"]

_LARGEST = 24
_NUMBERS = tuple((a, b) for b in (2, 3, 4) for a in range(2 * b, _LARGEST + 1, b))
# (part, form): sign and result
_FORMULAS = {
    ("1", "0"): ("+", lambda a, b: a + b),
    ("1", "1"): ("-", lambda a, b: a - b),
    ("2", "0"): ("*", lambda a, b: a * b),
    ("2", "1"): ("/", lambda a, b: a // b),
}


@cache
def _population() -> tuple[Answered, ...]:
    samples = []
    for name in NAMES:
        for things in THINGS:
            for a, b in _NUMBERS:
                main = f"{name} has {a} {things} for {b} days."
                for (part, form), (sign, result) in _FORMULAS.items():
                    meta = {"main": main, "part": part, "form": form}
                    samples.append((f"{main} {a} {sign} {b} =", f" {result(a, b)}", meta))
    return tuple(samples)


TASK = Task(
    title="Calculations with the same numbers",
    capability="mathematics",
    score=same_text,
    generate=lambda rng: rng.choice(_population()),
    population=_population,
    is_held_out=held_out_by_main,
    form="number",
)
