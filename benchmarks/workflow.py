"""Time and memory of the default run, of a second call, and of a dry run.

    .venv/bin/python benchmarks/workflow.py

Run it in a clone where nothing has run yet; what it makes is the default run, ready to look at.
It is made in steps, first without experiments and then with some more each time, so that what they
add is seen; a step also writes the report once more.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from machine import save

REPOSITORY = Path(__file__).resolve().parents[1]
SNAKEMAKE = Path(sys.executable).parent / "snakemake"
# What acts on masks, what locates single facts, what judges them.
STEPS = (
    (),
    ("erasure", "cross_erasure", "enhancement"),
    ("fidelity",),
    ("decoupling", "reliability"),
)


def call(folder: Path, *arguments: str) -> float:
    start = time.perf_counter()
    subprocess.run(
        [SNAKEMAKE, "--cores", "2", "--quiet", "all", *arguments], cwd=folder, check=True
    )
    return time.perf_counter() - start


def in_steps(folder: Path) -> dict[str, float]:
    """Seconds of the run without experiments, and of what experiments add."""
    experiments = yaml.safe_load((folder / "config.yaml").read_text())["run"]["experiments"]
    if set(experiments) != {name for step in STEPS for name in step}:
        sys.exit(f"config.yaml runs {experiments}: give every experiment its step here")
    seconds, run = {}, []
    with tempfile.TemporaryDirectory() as scratch:
        overlay = Path(scratch) / "overlay.yaml"
        for step in STEPS:
            run += step
            overlay.write_text(yaml.safe_dump({"run": {"experiments": run}}))
            name = ", ".join(step) or "without experiments"
            seconds[name] = call(folder, "--configfile", str(overlay))
    return seconds


def stages(folder: Path) -> dict[str, dict[str, float]]:
    """Seconds and peak memory of the timed rules, from Snakemake's own records."""
    found: dict[str, dict[str, float]] = {}
    for path in sorted((folder / "results/default/timings").rglob("*.jsonl")):
        rule = path.relative_to(folder / "results/default/timings").parts[0]
        record = json.loads(path.read_text().splitlines()[-1])
        entry = found.setdefault(rule, {"jobs": 0, "seconds": 0.0, "peak_mib": 0.0})
        entry["jobs"] += 1
        entry["seconds"] = round(entry["seconds"] + record["s"], 1)
        entry["peak_mib"] = max(entry["peak_mib"], record["max_rss"])
    return found


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY
    if (folder / "results/default").exists():
        sys.exit(f"{folder / 'results/default'} exists: measure in a clone where nothing has run")
    steps = in_steps(folder)
    whole = sum(steps.values()) + call(folder)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10
    second = call(folder)
    dry = [call(folder, "--dry-run") for _ in range(6)][1:]
    path = save(
        "workflow",
        {
            "default_run_seconds": round(whole, 1),
            "seconds_in_steps": {name: round(seconds, 1) for name, seconds in steps.items()},
            "largest_process_peak_mib": round(peak, 1),
            "second_run_seconds": round(second, 2),
            "dry_run_seconds_median_of_5": round(statistics.median(dry), 2),
            "dry_run_seconds": [round(seconds, 2) for seconds in dry],
            "stages": stages(folder),
        },
    )
    sys.stdout.write(path.read_text())


if __name__ == "__main__":
    main()
