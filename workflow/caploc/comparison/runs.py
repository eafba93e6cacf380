"""A finished run as `caploc compare` reads it, and what is wrong with a folder that is none."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caploc.files import store
from caploc.jobs.run import Run as Plan
from caploc.records import DataError

__all__ = ["NUMBERS", "FinishedRun", "read_run"]

NUMBERS = (
    "value", "ci_low", "ci_high", "interval", "n", "n_draws", "p", "p_holm", "role",
)  # fmt: skip
"""Columns of a tidy table that are no identification."""
_NEEDED = ("model", "metric", "value")


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """Settings and tables of one run.

    Attributes:
        folder: of the run.
        config: checked configuration it ran with.
        tables: rows by table.
        missing: table -> how to make it.
    """

    folder: Path
    config: dict[str, Any]
    tables: dict[str, list[dict[str, Any]]]
    missing: dict[str, str]

    @property
    def name(self) -> str:
        """As the configuration calls it."""
        return self.config["run"]["name"]


def read_run(given: str) -> FinishedRun:
    """Read a run by the name of its folder, or by its own name.

    Args:
        given: folder, or name of a run under ``results``.

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
    tables = _planned(folder, config)
    found, missing = {}, {}
    for table in tables:
        path = folder / "tables" / f"{table}.parquet"
        if path.is_file():
            found[table] = _read(path, table)
        else:
            missing[table] = (
                f"snakemake --cores all tabulate_{table} (with the --configfile of run "
                f"{config['run']['name']})"
            )
    return FinishedRun(folder, config, found, missing)


def _planned(folder: Path, config: Any) -> list[str]:
    """Tables that the configuration of a run asks for."""
    try:
        return Plan(config).tables
    except (KeyError, TypeError):
        raise DataError(
            f"{folder / 'config.json'}: not the settings of a run of this version; run snakemake "
            "once more with the --configfile of that run, which writes them anew"
        ) from None


def _read(path: Path, table: str) -> list[dict[str, Any]]:
    rows = store.read_table(path, ())
    lacking = [name for name in _NEEDED if name not in rows.column_names]
    if lacking:
        raise DataError(
            f"{path}: no column {lacking[0]!r}, so another version of caploc wrote it; make it "
            f"anew: snakemake --cores all --forcerun tabulate_{table}, with the --configfile of "
            "that run"
        )
    return rows.to_pylist()
