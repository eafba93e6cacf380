"""Progress of long work: a bar on a terminal, a line in the log every ten seconds elsewhere."""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["tracked"]

_LOG = logging.getLogger(__name__)
_SECONDS_BETWEEN_LINES = 10.0
_Item = TypeVar("_Item")


def tracked(
    items: Iterable[_Item],
    total: int,
    what: str,
    detail: Callable[[_Item], str] = lambda item: "",
) -> Iterator[_Item]:
    """Pass `items` on and show how far they are.

    Args:
        items: what the work yields.
        total: how many there will be.
        what: name of the work.
        detail: a few words about the latest item.
    """
    show = _bar if sys.stderr.isatty() else _lines
    yield from show(items, total, what, detail)


def _bar(
    items: Iterable[_Item], total: int, what: str, detail: Callable[[_Item], str]
) -> Iterator[_Item]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total, detail="")
        for item in items:
            yield item
            progress.update(task, advance=1, detail=detail(item))


def _lines(
    items: Iterable[_Item], total: int, what: str, detail: Callable[[_Item], str]
) -> Iterator[_Item]:
    started = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN_LINES and done < total:
            last = now
            left = (now - started) / done * (total - done)
            _LOG.info("%s: %d of %d, about %.0f s left %s", what, done, total, left, detail(item))
