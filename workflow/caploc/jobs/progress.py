"""Progress of long work: a live line on a terminal, a plain line in the log every ten seconds.

The live line is drawn by Snakemake's logger, which knows all running jobs
(`snakemake_logger_plugin_caploc`); it names a folder in the environment variable CAPLOC_PROGRESS,
and a job leaves there what it has done, in a file named like its log (CAPLOC_LOG). A stage that is
called by hand on a terminal draws its own bar.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

__all__ = ["tracked"]

_LOG = logging.getLogger(__name__)
_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_NOTES = 0.5
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
    folder = os.environ.get("CAPLOC_PROGRESS")
    show = _bar if sys.stderr.isatty() and folder is None else _lines
    yield from show(items, total, what, detail)


def _bar(
    items: Iterable[_Item], total: int, what: str, detail: Callable[[_Item], str]
) -> Iterator[_Item]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    started = time.monotonic()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total, rate="", detail="")
        for done, item in enumerate(items, start=1):
            yield item
            rate = _rate(done, time.monotonic() - started)
            progress.update(task, advance=1, rate=rate, detail=detail(item))


def _lines(
    items: Iterable[_Item], total: int, what: str, detail: Callable[[_Item], str]
) -> Iterator[_Item]:
    started = last = noted = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        left = (now - started) / done * (total - done)
        rate = _rate(done, now - started)
        if now - noted >= _SECONDS_BETWEEN_NOTES:
            noted = now
            _note({"what": what, "done": done, "total": total, "rate": rate, "left": left})
        if now - last >= _SECONDS_BETWEEN_LINES and done < total:
            last = now
            more = " ".join(["", detail(item)]).rstrip()
            _LOG.info("%s: %d of %d, %s, about %.0f s left%s", what, done, total, rate, left, more)
    if os.environ.get("CAPLOC_PROGRESS"):
        # What a job does next may be of another kind.
        _file().unlink(missing_ok=True)


def _rate(done: int, seconds: float) -> str:
    """Items in a unit of time that leaves a number to read."""
    each = done / max(seconds, 1e-9)
    for unit, length in (("s", 1), ("min", 60)):
        if each * length >= 1:
            return f"{each * length:.3g}/{unit}"
    return f"{each * 3600:.3g}/h"


def _note(state: dict[str, str | int | float]) -> None:
    """Leave it for whoever draws, whole or not at all; a full disk there stops no job."""
    if not os.environ.get("CAPLOC_PROGRESS"):
        return
    path = _file()
    try:
        part = path.with_name(f"{path.name}.part")
        part.write_text(json.dumps(state), encoding="utf-8")
        part.replace(path)
    except OSError:
        return


def _file() -> Path:
    name = os.environ.get("CAPLOC_LOG", str(os.getpid())).replace("/", "~")
    return Path(os.environ["CAPLOC_PROGRESS"]) / name
