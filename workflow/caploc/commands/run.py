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
from caploc.configfiles import refuse_programs
from caploc.records import DataError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.prefix_chars = "\0"  # nothing is an option of this command, not even -h
    parser.add_argument("arguments", nargs="*", help="as for snakemake")


def run(options: argparse.Namespace) -> None:
    """Become Snakemake.

    Raises:
        DataError: no Snakefile here, no Snakemake, or a configuration that is a program.
    """
    if find_spec("snakemake") is None:
        raise shipped.lacking(ModuleNotFoundError(name="snakemake"))
    if not Path("Snakefile").is_file():
        raise DataError("no Snakefile in this folder; `caploc init FOLDER` writes one")
    # Before Snakemake reads them: it runs a file that says so.
    given = [Path(argument.rpartition("=")[2]) for argument in options.arguments]
    refuse_programs([Path("config.yaml"), *given])
    os.execv(sys.executable, [sys.executable, "-m", "snakemake", *options.arguments])
