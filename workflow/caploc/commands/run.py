"""Run the workflow in this folder: all that follows goes to Snakemake.

caploc run                                on all processors
caploc run -n                             what would run
caploc run --cores 2 --configfile mine.yaml
"""

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from caploc import shipped
from caploc.records import DataError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.prefix_chars = "\0"  # nothing is an option of this command, not even -h
    parser.add_argument("arguments", nargs="*", help="as for snakemake")


def run(options: argparse.Namespace) -> None:
    """Become Snakemake.

    Raises:
        DataError: no Snakefile here, or no Snakemake.
    """
    if find_spec("snakemake") is None:
        raise shipped.lacking(ModuleNotFoundError(name="snakemake"))
    if not Path("Snakefile").is_file():
        raise DataError("no Snakefile in this folder; `caploc init FOLDER` writes one")
    os.execv(sys.executable, [sys.executable, "-m", "snakemake", *options.arguments])
