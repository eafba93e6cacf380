"""Put the tables of two runs side by side: as a page, and as CSV.

    caploc compare default full
    caploc compare results/llama2-7b results/gptj-6b --out 7b-and-gptj

Each run is named by its folder or, under results/, by its name. Rows are matched by data set, mask,
arm and so on; where each run has one model (or method), these may differ, and sigmas may. Two files
are written, <out>.html and <out>.csv. The page begins with what differs: settings, then numbers
whose intervals do not overlap.
"""

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from caploc.files import store, tables
from caploc.records import DataError
from caploc.report.finished import FinishedRun, read_run
from caploc.report.templates import page

__all__ = ["add_arguments", "differing_settings", "run", "side_by_side"]

_LOG = logging.getLogger(__name__)
_NUMBERS = ("value", "ci_low", "ci_high", "n")
_MOST = 200
"""Rows of a table on the page; more are in the CSV alone."""


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
    matched = side_by_side(a, b)
    if not matched:
        raise DataError(
            f"{a.folder} and {b.folder} have no table in common; make one in each: snakemake "
            "--cores all tables, with the --configfile of that run"
        )
    rows = [f.with_columns(pl.lit(name).alias("table")) for name, f in matched.items()]
    numbers = [f"{name}_{side}" for side in "ab" for name in _NUMBERS]
    every = pl.concat(rows, how="diagonal_relaxed").drop("primary")
    every = every.select("table", pl.exclude("table", *numbers, "difference"), *numbers,
                         "difference")  # fmt: skip
    out = options.out or Path(f"compare-{a.name}-{b.name}")
    for ending, text in ((".html", _page(a, b, matched)), (".csv", tables.as_csv(every))):
        path = out.with_name(out.name + ending)
        store.write_text(text, path)
        _LOG.info("wrote %s", path)


# Side by side ------------------------------------------------------------------------------------


def side_by_side(a: FinishedRun, b: FinishedRun) -> dict[str, pl.DataFrame]:
    """Every table that both runs have, in the order of the first.

    Returns:
        By table: what identifies a number (a model, method or sigma that differs is ``a | b``),
        then value, interval and n as ``value_a`` ... ``n_b``, null where a run has no such row,
        ``difference`` (second minus first) and ``primary``.
    """
    return {name: _matched(name, a, b) for name in a.tables if name in b.tables}


def _matched(name: str, a: FinishedRun, b: FinishedRun) -> pl.DataFrame:
    sides = [
        run.tables[name].with_columns(pl.lit(side).alias("side"), *_kept_apart(run, other, name))
        for side, run, other in (("a", a, b), ("b", b, a))
    ]
    both = pl.concat(sides, how="diagonal_relaxed")
    # A single neuron of one model is no counterpart of the same number in another.
    both = both.filter(pl.col("neuron").is_null()).drop("neuron") if "neuron" in both else both
    lacking = [pl.lit(None).alias(c) for c in (*_NUMBERS, "role") if c not in both.columns]
    both = both.with_columns(lacking)
    named = {c for run in (a, b) for c in _identifying(run.tables[name])} & set(both.columns)
    columns = [c for c in both.columns if c in named]
    apart = [c for c in ("model", "method", "sigma") if c in named]
    found = both.group_by(
        *(c for c in columns if c not in apart),
        *(c for c in both.columns if c.startswith("same_")),
        maintain_order=True,
    ).agg(
        *(pl.col(c).map_elements(_text, pl.String)
          .unique(maintain_order=True).str.join(" | ") for c in apart),
        *(pl.col(c).filter(pl.col("side") == side).last().alias(f"{c}_{side}")
          for side in "ab" for c in _NUMBERS),
        pl.col("role").is_in(["primary", "secondary"]).any().alias("primary"),
    )  # fmt: skip
    difference = (pl.col("value_b") - pl.col("value_a")).alias("difference")
    return found.with_columns(difference).select(
        *columns, *(f"{c}_{side}" for side in "ab" for c in _NUMBERS), "difference", "primary"
    )


def _identifying(table: pl.DataFrame) -> list[str]:
    return table.columns[: table.columns.index("value")]


def _kept_apart(run: FinishedRun, other: FinishedRun, table: str) -> Iterator[pl.Expr]:
    """Models and methods by which rows are matched: null where each run has only one.

    The id of a mask stands for its sigma, which need not agree.
    """
    for column, key in (("model", "models"), ("method", "methods")):
        if column not in run.tables[table].columns:
            continue
        only, others = run.config["run"][key], other.config["run"][key]
        known = pl.col(column).is_in(only if len(only) == len(others) == 1 else [])
        yield pl.when(~known).then(pl.col(column)).alias(f"same_{column}")


def differing_settings(a: FinishedRun, b: FinishedRun) -> list[tuple[str, str, str]]:
    """(key, value in the first, value in the second) of every setting that differs."""
    one, two = dict(_flat(_used(a.config))), dict(_flat(_used(b.config)))
    return [
        (key, _text(one.get(key)), _text(two.get(key)))
        for key in dict.fromkeys([*one, *two])
        if one.get(key) != two.get(key)
    ]


def _used(config: dict[str, Any]) -> dict[str, Any]:
    """Without the items of catalogues that the run does not use."""
    run, used = config["run"], dict(config)
    for kind in ("models", "tasks", "methods", "masks"):
        wanted = [*run[kind], *([run["neutral"]] if kind == "tasks" and run["neutral"] else [])]
        used[kind] = {name: config[kind][name] for name in wanted}
    used["experiments"] = {name: config["experiments"][name] for name in run["experiments"]}
    used.pop("facts", None)
    return used


def _flat(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{where}.{key}".lstrip("."))
    else:
        yield where, value


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    return str(value)


# The page ----------------------------------------------------------------------------------------


def _page(a: FinishedRun, b: FinishedRun, matched: dict[str, pl.DataFrame]) -> str:
    disjoint = (pl.col("ci_low_a") > pl.col("ci_high_b")) | (
        pl.col("ci_low_b") > pl.col("ci_high_a")
    )
    apart = {name: table.filter(disjoint) for name, table in matched.items()}
    both = sum(len(t.drop_nulls(["ci_low_a", "ci_low_b"])) for t in matched.values())
    return page(
        "compare.html.jinja", a=a, b=b, settings=differing_settings(a, b), only=_only(a, b),
        apart=[_shown(name, table) for name, table in apart.items() if not table.is_empty()],
        n_apart=sum(map(len, apart.values())), n_both=both,
        tables=[_shown(name, table) for name, table in matched.items()],
    )  # fmt: skip


def _only(a: FinishedRun, b: FinishedRun) -> list[str]:
    """Tables that the settings of one run alone ask for."""
    return [
        f"Table {table} is of run {run.name} alone: add its experiment to run.experiments of "
        f"{other.name} and run snakemake again."
        for run, other in ((a, b), (b, a))
        for table in sorted({*run.tables, *run.missing} - {*other.tables, *other.missing})
    ]


def _shown(name: str, table: pl.DataFrame) -> dict[str, Any]:
    """Rows of a table as texts: all, or the primary ones of a long table, or the first."""
    rows, kind = table, "all"
    if len(table) > _MOST:
        primary = table.filter("primary")
        rows, kind = (table, "the first") if primary.is_empty() else (primary, "the primary ones")
    rows = rows.head(_MOST)
    keys = rows.columns[: rows.columns.index("value_a")]
    used = [c for c in keys if not (rows[c].cast(pl.String).fill_null("") == "").all()]
    return {
        "name": name, "columns": used, "kind": kind, "left_out": len(table) - len(rows),
        "rows": [
            {
                "key": ["" if row[c] is None else _text(row[c]) for c in used],
                "a": _number(row, "a"), "b": _number(row, "b"),
                "difference": "" if row["difference"] is None else f"{row['difference']:+.4g}",
            }
            for row in rows.iter_rows(named=True)
        ],
    }  # fmt: skip


def _number(row: dict[str, Any], side: str) -> str:
    value, low, high = (row[f"{name}_{side}"] for name in ("value", "ci_low", "ci_high"))
    if value is None:
        return "–"
    span = "" if low is None or high is None else f" ({low:.4g} to {high:.4g})"
    return f"{value:.4g}{span}"
