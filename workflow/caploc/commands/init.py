"""Write the workflow into a folder: a Snakefile, its settings, and profiles.

    caploc init my-study
    cd my-study && caploc run

The Snakefile includes the rules of the installed caploc; your own can stand below.
"""

import argparse
import logging
import shutil
from pathlib import Path

from caploc import shipped
from caploc.records import DataError

__all__ = ["add_arguments", "run"]

_LOG = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("folder", type=Path, help="folder to write to; made if it is not there")


def run(options: argparse.Namespace) -> None:
    """Write the files.

    Raises:
        DataError: one of them is there already.
    """
    source, target = shipped.folder(), options.folder
    names = ("Snakefile", "config.yaml", "config", "profiles")
    for name in names:
        if (target / name).exists():
            raise DataError(f"{target / name}: exists already; name another folder")
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        (shutil.copytree if (source / name).is_dir() else shutil.copy)(source / name, target / name)
    _LOG.info("wrote %s; now: cd %s && caploc run", target, target)
