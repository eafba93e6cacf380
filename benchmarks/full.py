"""Tables of the complete run, kept in the repository: `python benchmarks/full.py`.

After `snakemake --cores 2 --configfile config/full.yaml`, or the same for one base model at a time,
`--config 'run={"models": ["embedded"]}'`: the rows of the models in results/full (or --results)
take the place of theirs in benchmarks/results/full/*.csv, rows of other models stay. `full.json`
says of each model with which commit and on what machine it ran, and what its jobs took;
`full.md` shows the tables in short. To be called in the clone that ran.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import polars as pl

from full_page import page
from machine import RESULTS, describe, save

TABLES = ("base", "erasure", "enhancement", "cross_enhancement")


def seconds(run: Path, model: str) -> dict[str, float]:
    """Processor seconds of the jobs of a model, by rule."""
    found: dict[str, float] = {}
    for path in sorted((run / "timings").rglob("*.jsonl")):
        rule, *wildcards = path.relative_to(run / "timings").with_suffix("").parts
        if wildcards[0] == model:
            record = json.loads(path.read_text().splitlines()[-1])
            found[rule] = round(found.get(rule, 0.0) + record["cpu_time"], 1)
    return found


def merged(new: pl.DataFrame, path: Path) -> pl.DataFrame:
    """The new rows, and those of other models that are there."""
    if not path.is_file():
        return new
    before = pl.read_csv(path, schema=new.schema)
    models = new["model"].unique().to_list()
    return pl.concat([before.filter(~pl.col("model").is_in(models)), new]).sort(
        "model", maintain_order=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results/full"))
    options = parser.parse_args()
    folder = RESULTS / "full"
    folder.mkdir(exist_ok=True)
    models: set[str] = set()
    tables: dict[str, pl.DataFrame] = {}
    for name in TABLES:
        path = options.results / "tables" / f"{name}.parquet"
        if not path.is_file():
            sys.exit(f"{path}: not there; run snakemake with config/full.yaml first")
        new = pl.read_parquet(path)
        models |= set(new["model"].unique())
        tables[name] = merged(new, folder / f"{name}.csv")
        tables[name].write_csv(folder / f"{name}.csv")
    record = RESULTS / "full.json"
    told = json.loads(record.read_text())["models"] if record.is_file() else {}
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], text=True).strip()
    for model in sorted(models):
        told[model] = {
            "commit": commit,
            "machine": describe(),
            "processor_seconds": seconds(options.results, model),
        }
    save("full", {"what": "config/full.yaml, two jobs side by side", "models": told})
    path = RESULTS / "full.md"
    path.write_text(page(tables, told))
    sys.stdout.write(path.read_text())


if __name__ == "__main__":
    main()
