"""A finished run as commands read it: its settings, and its tables of numbers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from caploc.files import store, tables
from caploc.jobs.receipts import check_content
from caploc.jobs.run import Run
from caploc.records import DataError
from caploc.report.registry import parts

__all__ = ["FinishedRun", "read_run"]

_NEEDED = ("model", "metric", "value")


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """Settings and tables of one run.

    Attributes:
        folder: of the run.
        config: checked configuration it ran with.
        tables: by name.
        missing: table -> how to make it.
    """

    folder: Path
    config: dict[str, Any]
    tables: dict[str, pl.DataFrame]
    missing: dict[str, str]

    @property
    def name(self) -> str:
        """As the configuration calls it."""
        return self.config["run"]["name"]


def read_run(given: str) -> FinishedRun:
    """Read a run by its folder, or by its name under ``results``.

    Raises:
        DataError: no such run, not a folder of a run, or one that another version wrote.
    """
    folder = next((p for p in (Path(given), Path("results") / given) if p.is_dir()), None)
    if folder is None:
        names = sorted(p.parent.name for p in Path("results").glob("*/config.json"))
        raise DataError(
            f"{given}: no such folder, and no run of that name under results/; there are: "
            f"{', '.join(names) or 'none'}"
        )
    if not (folder / "config.json").is_file():
        raise DataError(
            f"{folder}: not the folder of a run (no config.json in it); expected results/<name>, "
            "as snakemake makes it"
        )
    config = store.read_json(folder / "config.json")
    try:
        wanted = Run(config).tables
    except (KeyError, TypeError):
        raise DataError(
            f"{folder / 'config.json'}: not the settings of a run of this version; run snakemake "
            "once more with the --configfile of that run, which writes them anew"
        ) from None
    of_numbers = {
        name for part in parts() for name, schema in part.module.TABLES.items() if "value" in schema
    }
    paths = {table: folder / "tables" / f"{table}.parquet" for table in wanted
             if table in of_numbers}  # fmt: skip
    remedy = "snakemake --cores all tabulate_{} (with the --configfile of run {})"
    return FinishedRun(
        folder, config,
        {table: _read(path, table) for table, path in paths.items() if path.is_file()},
        {table: remedy.format(table, config["run"]["name"])
         for table, path in paths.items() if not path.is_file()},
    )  # fmt: skip


def _read(path: Path, table: str) -> pl.DataFrame:
    if check_content(path) is None:
        raise DataError(
            f"{path}: has no receipt, so nobody knows what made it; delete it and make it anew: "
            f"snakemake --cores all tabulate_{table}, with the --configfile of that run"
        )
    frame = tables.read(path)
    lacking = [name for name in _NEEDED if name not in frame.columns]
    if lacking:
        raise DataError(
            f"{path}: no column {lacking[0]!r}, so another version of caploc wrote it; make it "
            f"anew: snakemake --cores all --forcerun tabulate_{table}, with the --configfile of "
            "that run"
        )
    return frame
