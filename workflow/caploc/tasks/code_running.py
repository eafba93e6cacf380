"""Short Python programs: what do they print?

One sample (prompt, then answer)::

    x = 4
    for i in range(3):
        x = x + 2
    print(x)
    # prints:
    10
"""

import random

from caploc.samples.scoring import same_text
from caploc.samples.task import Answered, Task

__all__ = ["TASK"]

_NAMES = ("a", "b", "c", "x", "y", "z")
_COUNTERS = ("i", "j", "k")


def _assigned(rng: random.Random) -> tuple[str, str]:
    a, b = rng.sample(_NAMES, 2)
    x, n = rng.randint(1, 15), rng.randint(1, 15)
    sign, result = rng.choice((("+", x + n), ("-", x - n))) if x > n else ("+", x + n)
    return f"{a} = {x}\n{b} = {a} {sign} {n}\nprint({b})", str(result)


def _indexed(rng: random.Random) -> tuple[str, str]:
    name = rng.choice(_NAMES)
    items = rng.sample(range(20), rng.randint(3, 5))
    index = rng.randrange(-1, len(items))
    return f"{name} = {items}\nprint({name}[{index}])", str(items[index])


def _called(rng: random.Random) -> tuple[str, str]:
    name = rng.choice(_NAMES)
    items = rng.sample(range(20), rng.randint(2, 5))
    function, result = rng.choice(
        (("max", max(items)), ("min", min(items)), ("len", len(items)), ("sorted", sorted(items)))
    )
    return f"{name} = {items}\nprint({function}({name}))", str(result)


def _looped(rng: random.Random) -> tuple[str, str]:
    name = rng.choice(_COUNTERS)
    start, n, step = rng.randint(0, 12), rng.randint(2, 5), rng.randint(1, 3)
    stop = start + n * step - rng.randrange(step)
    arguments = f"{start}, {stop}" + (f", {step}" if step > 1 else "")
    printed = range(start, stop, step)
    return f"for {name} in range({arguments}):\n    print({name})", "\n".join(map(str, printed))


def _repeated(rng: random.Random) -> tuple[str, str]:
    name = rng.choice(_NAMES)
    start, n, add = rng.randint(0, 8), rng.randint(2, 5), rng.randint(1, 4)
    code = f"{name} = {start}\nfor i in range({n}):\n    {name} = {name} + {add}\nprint({name})"
    return code, str(start + n * add)


def _branched(rng: random.Random) -> tuple[str, str]:
    name = rng.choice(_NAMES)
    x, limit, other = rng.randint(0, 20), rng.randint(1, 19), rng.randint(0, 20)
    code = f"{name} = {x}\nif {name} > {limit}:\n    print({name})\nelse:\n    print({other})"
    return code, str(x if x > limit else other)


_KINDS = (_assigned, _indexed, _called, _looped, _repeated, _branched)


def _generate(rng: random.Random) -> Answered:
    make = rng.choice(_KINDS)
    code, printed = make(rng)
    return f"{code}\n# prints:\n", printed, {"kind": make.__name__.strip("_")}


TASK = Task(title="Code running", capability="code", score=same_text, generate=_generate)
