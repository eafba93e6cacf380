"""`python dying.py shard|training STOP arguments of caploc`: a stage that kills itself.

Prints the number of each piece of work that it begins, and dies by SIGKILL in number STOP.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

from caploc import cli
from caploc.stages import attribute_shard
from caploc.training import loop

Set = Callable[[object, str, object], None]


def _tell(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def shard(stop: int, set_attribute: Set = setattr) -> list[int]:
    """Groups of two samples; the list of those begun."""
    begun: list[int] = []
    groups = attribute_shard._groups

    def counted(*arguments: Any) -> Iterator[Any]:
        begun.append(len(begun) + 1)
        _tell(begun[-1])
        for n, found in enumerate(groups(*arguments)):
            if begun[-1] == stop and n == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            yield found

    set_attribute(attribute_shard, "_GROUP", 2)
    set_attribute(attribute_shard, "_groups", counted)
    return begun


def training(stop: int, set_attribute: Set = setattr) -> list[int]:
    """A checkpoint every five steps; the list of steps begun."""
    begun: list[int] = []

    def counted(work: Iterator[Any], *_: Any) -> Iterator[Any]:
        for step in work:
            begun.append(len(begun) + 1)
            _tell(begun[-1])
            if begun[-1] == stop:
                os.kill(os.getpid(), signal.SIGKILL)
            yield step

    set_attribute(loop, "_STEPS_BETWEEN_CHECKPOINTS", 5)
    set_attribute(loop, "tracked", counted)
    return begun


if __name__ == "__main__":
    {"shard": shard, "training": training}[sys.argv[1]](int(sys.argv[2]))
    sys.exit(cli.main(sys.argv[3:]))
