"""One process at a time makes a file: a killed Snakemake leaves its jobs running, as orphans.

A job that Snakemake starts again waits until the orphan has ended, instead of writing the same file
beside it. The lock belongs to the open file, so it ends with its process however that dies.
"""

import fcntl
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["alone"]

_LOG = logging.getLogger(__name__)


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Hold the right to make `path`; wait for the process that has it.

    Yields:
        Whether another process had it first, so that the file may be there by now.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    waited = False
    while True:
        with lock.open("a+", encoding="utf-8") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                handle.seek(0)
                _LOG.warning("%s: waiting for %s, which makes this file", path, handle.read())
                waited = True
                fcntl.flock(handle, fcntl.LOCK_EX)
            # The holder removes the name when it ends: what we hold may be a file without a name.
            if not _is_named(lock, handle.fileno()):
                continue
            handle.truncate(0)
            handle.write(f"process {os.getpid()} on {platform.node()}")
            handle.flush()
            try:
                yield waited
            finally:
                lock.unlink(missing_ok=True)
            return


def _is_named(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
