"""Put the tables of two runs side by side: as a page, and as CSV.

    caploc compare default full
    caploc compare results/llama2-7b results/gptj-6b --out 7b-and-gptj

Each run is named by its folder or, under results/, by its name. Rows are matched by data set, mask,
arm and so on; where each run has one model (or method), these may differ, and sigmas may. Two files
are written, <out>.html and <out>.csv.
"""

import argparse
import logging
from pathlib import Path

from caploc.comparison.page import as_csv, as_page
from caploc.comparison.runs import read_run
from caploc.comparison.side_by_side import tables
from caploc.files import store
from caploc.records import DataError

__all__ = ["add_arguments", "run"]

_LOG = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run_a", metavar="RUN_A", help="folder or name of a run")
    parser.add_argument("run_b", metavar="RUN_B", help="folder or name of another run")
    parser.add_argument(
        "--out", type=Path, help="name of the files without ending; default compare-<a>-<b>"
    )


def run(options: argparse.Namespace) -> None:
    """Read both runs, match their rows, write.

    Raises:
        DataError: not a run, one of another version, or no table that both have.
    """
    a, b = read_run(options.run_a), read_run(options.run_b)
    for one in (a, b):
        for table, remedy in one.missing.items():
            _LOG.warning("run %s has no table %s: %s", one.name, table, remedy)
    matched = tables(a, b)
    if not matched:
        raise DataError(
            f"{a.folder} and {b.folder} have no table in common; make one in each: snakemake "
            "--cores all tables, with the --configfile of that run"
        )
    out = options.out or Path(f"compare-{a.name}-{b.name}")
    for ending, text in ((".html", as_page(a, b, matched)), (".csv", as_csv(matched))):
        path = out.with_name(out.name + ending)
        store.write_text(text, path)
        _LOG.info("wrote %s", path)
