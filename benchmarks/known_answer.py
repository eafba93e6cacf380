"""How well locators find planted neurons: what the table of planted models says, in short.

    python benchmarks/known_answer.py                     # after snakemake known_answer
    python benchmarks/known_answer.py known_answer_full   # or another grid, after that target

reads results/default (or --results) and writes benchmarks/results/known_answer.json, or that of
the grid. Times are those of Snakemake's benchmark files. Of a grid that is not
finished it tells the parts that are there.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from caploc.experiments.known_answer._null import binomial_interval
from caploc.experiments.known_answer.jobs import EXTENTS
from caploc.experiments.known_answer.table import KNOWN_ANSWER
from caploc.experiments.known_answer.tabulate_known_answer import with_means
from caploc.files import tables
from machine import save

RANKED = ("average_precision", "roc_area", "precision_at_n")


def rows_of(root: Path, name: str) -> list[dict[str, Any]]:
    """Rows of the table, or of the parts that are there, with their means."""
    path = root / "tables" / f"{name}.parquet"
    if path.is_file():
        return tables.read(path, KNOWN_ANSWER).to_dicts()
    parts = sorted((root / "known-answer").glob("*/*/*/*.parquet"))
    parts = [p for p in parts if p.stem in ("ranking", "null")]
    if not parts:
        sys.exit(f"{root}: nothing there yet; run snakemake {name} first")
    return with_means(tables.joined(parts, KNOWN_ANSWER)).to_dicts()


def seconds(root: Path, rows: list[dict[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Seconds by the clock and of the processor, of every job of these plants by rule."""
    plants = {f"{row['plant']}-{row['seed']}" for row in rows}
    found: dict[str, dict[str, list[float]]] = {}
    rules = ("plant_model", "check_plant", "measure_effects", "score_plant", "check_null")
    for rule in rules:
        for path in sorted((root / "timings" / rule).rglob("*.jsonl")):
            job = path.relative_to(root / "timings" / rule).with_suffix("").as_posix()
            if job.partition("/")[0] not in plants:
                continue
            timed = json.loads(path.read_text())
            found.setdefault(rule, {})[job] = [round(timed[k], 1) for k in ("s", "cpu_time")]
    return found


def number(row: dict[str, Any]) -> Any:
    """Value, with its range or interval where there is one."""
    if row["value"] is None or row["ci_low"] is None or row["ci_low"] == row["ci_high"]:
        return None if row["value"] is None else round(row["value"], 4)
    return [round(row[k], 4) for k in ("value", "ci_low", "ci_high")]


def plants(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Surgery check, effects of whole sets and null checks of each plant."""
    found: dict[str, Any] = {}
    for row in rows:
        if row["seed"] is None or row["locator"]:
            continue
        name = f"{row['plant']}, seed {row['seed']}, {row['dataset']}"
        level = "" if row["sigma"] is None else f"{row['sigma']:g}"
        parts = (row["metric"], row["set"], row["rule"], level)
        label = ", ".join(part for part in parts if part)
        value = number(row)
        found.setdefault(name, {})[label] = [value, row["note"]] if row["note"] else value
    return found


def ranking(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over all that passed, by locator: whole rankings, masks, decoys, curves."""
    found: dict[str, Any] = {}
    for row in rows:
        if row["seed"] is not None or row["dataset"] or not row["locator"]:
            continue
        of = found.setdefault(row["locator"], {})
        truth = f", {row['truth']}" if row["truth"] else ""
        if row["metric"] in RANKED:
            label = f"{row['metric']}{truth}"
            of.setdefault(label, {})[f"{row['n_samples']} samples"] = number(row)
        elif row["metric"] == "share_of_first":
            of.setdefault("places taken by decoys", {})[row["set"]] = number(row)
        else:
            label = f"{row['metric']}{truth}, {row['rule']}"
            of.setdefault(label, {})[f"sigma {row['sigma']:g}"] = number(row)
    return found


def by_capability(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Average precision of each plant and capability, with the range over seeds, by locator."""
    found: dict[str, Any] = {}
    most = max((r["n_samples"] or 0 for r in rows), default=0)
    for row in rows:
        whole = row["seed"] is None and row["dataset"] and row["n_samples"] == most
        if whole and row["metric"] == "average_precision":
            name = f"{row['plant']}, {row['dataset']}, {row['truth']}"
            found.setdefault(name, {})[row["locator"]] = number(row)
    return found


def pooled_calibration(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """P(p <= a) over the replicates of all plants, with the normal 95 % interval of that many."""
    found: dict[float, list[dict[str, Any]]] = {}
    for row in rows:
        if row["metric"] == "calibration" and row["seed"] is not None:
            found.setdefault(row["sigma"], []).append(row)
    told = {}
    for level, members in sorted(found.items()):
        n = sum(row["n"] for row in members)
        share = sum(row["value"] * row["n"] for row in members) / n
        told[f"{level:g}"] = {
            "replicates": n,
            "share": round(share, 4),
            "interval": [
                round(level + z * (level * (1 - level) / n) ** 0.5, 4) for z in (-1.96, 1.96)
            ],
            "plants and capabilities": len(members),
            "of which outside their own interval": sum(
                not row["ci_low"] <= row["value"] <= row["ci_high"] for row in members
            ),
        }
    return told


def pooled_specificity(rows: list[dict[str, Any]]) -> dict[str, int]:
    """How many intervals of "own minus other" leave 0 out, and how many may at 95 %."""
    members = [r for r in rows if r["metric"] == "specificity" and r["seed"] is not None]
    _, most = binomial_interval(len(members), 0.05)
    return {
        "plants and capabilities": len(members),
        "of which leave 0 out": sum(not r["ci_low"] <= 0 <= r["ci_high"] for r in members),
        "at most by chance": round(most * len(members)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("grid", nargs="?", choices=EXTENTS, default="known_answer")
    parser.add_argument("--results", type=Path, default=Path("results/default"))
    options = parser.parse_args()
    name = options.grid
    rows = rows_of(options.results, name)
    path = save(
        name,
        {
            "made_by": f"snakemake {name} --cores 2",
            "finished": (options.results / "tables" / f"{name}.parquet").is_file(),
            "seconds": "by the clock, on a machine that other work shared; then of the processor",
            "seconds_of_jobs": seconds(options.results, rows),
            "plants": plants(rows),
            "calibration": pooled_calibration(rows),
            "specificity": pooled_specificity(rows),
            "ranking": ranking(rows),
            "average_precision_by_capability": by_capability(rows),
        },
    )
    sys.stdout.write(path.read_text())


if __name__ == "__main__":
    main()
