"""Speed and memory of averaging per-sample scores: `python benchmarks/aggregation.py`.

Writes a synthetic attribution file of the size of a 7B model (32 layers of 11,008 neurons) and runs
the stage on it in a subprocess of its own, so that the peak memory is that of the stage.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

import machine
from caploc.files import store

GROUP = 64
SPEC = {
    "task": "synthetic",
    "n_splits": 5,
    "n_per_half": None,
    "curve": None,
    "min_samples": 20,
    "seed": 0,
}
# Runs the stage and prints its own peak memory in kB. Not `ru_maxrss`: a process inherits it from
# the one that started it.
CHILD = """
import re, sys
from caploc.cli import main
status = main(sys.argv[1:])
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
sys.exit(status)
"""


def write_synthetic(path: Path, n_samples: int, n_layers: int, n_neurons: int) -> None:
    """Write heavy-tailed scores of the size that attribution gives (most near 1e-6)."""
    generator = np.random.default_rng(0)
    kind = pa.list_(pa.float32(), n_neurons)
    small = (
        "probability", "probability_zeroed", "gap_mean", "gap_max", "endpoint", "rest_mean",
        "rest_max",
    )  # fmt: skip
    schema = pa.schema(
        [
            ("sample_id", pa.string()),
            ("layer", pa.int16()),
            ("scores", kind),
            *((name, pa.float64()) for name in small),
            ("n_answer_tokens", pa.int32()),
        ]
    )
    metadata = {
        "origin": {"stage": "attribute_shard", "spec": {"task": "synthetic", "model": "synthetic"}},
        "n_samples": n_samples,
        "dropped": [],
    }
    with store.table_writer(path, schema, metadata, ["scores.list.element"]) as writer:
        for first in range(0, n_samples, GROUP):
            n = min(GROUP, n_samples - first)
            values = generator.standard_t(3, n * n_layers * n_neurons).astype(np.float32) * 1e-6
            columns = [
                pa.array([f"s{first + i}" for i in range(n) for _ in range(n_layers)]),
                pa.array(np.tile(np.arange(n_layers), n), pa.int16()),
                pa.FixedSizeListArray.from_arrays(pa.array(values), type=kind),
                *(pa.array(generator.random(n * n_layers)) for _ in small),
                pa.array(np.ones(n * n_layers), pa.int32()),
            ]
            writer.write_table(pa.table(columns, schema=schema))


def measure(shard: Path, threads: int) -> tuple[float, float, float]:
    """Seconds, processor seconds and peak MiB of one whole run of the command."""
    with tempfile.TemporaryDirectory(dir=shard.parent) as folder:
        command = [
            *(sys.executable, "-c", CHILD, "aggregate_scores"),
            *("--threads", str(threads), "--spec", json.dumps(SPEC)),
            *("--input", f"shards={shard}", "--output", f"scores={folder}/scores.parquet"),
        ]
        start, before = time.perf_counter(), _processor_seconds()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds, busy = time.perf_counter() - start, _processor_seconds() - before
        return seconds, busy, int(done.stdout.split()[-1]) / 1024


def _processor_seconds() -> float:
    """Of all finished children; unlike the time on the wall it hardly depends on other load."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1_000)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--neurons", type=int, default=11_008)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        shard = Path(folder) / "shard-0000.parquet"
        write_synthetic(shard, options.samples, options.layers, options.neurons)
        megabytes = shard.stat().st_size / 1e6
        runs = [measure(shard, options.threads) for _ in range(options.runs)]
    seconds = statistics.median(run[0] for run in runs)
    measured = {
        "what": "aggregate_scores: 5 splits x 2 halves, curve 1, 2, 5, ..., whole command",
        "n_samples": options.samples,
        "grid": [options.layers, options.neurons],
        "threads": options.threads,
        "shard_megabytes": round(megabytes, 1),
        "seconds": [round(run[0], 2) for run in runs],
        "seconds_median": round(seconds, 2),
        "samples_per_second": round(options.samples / seconds, 1),
        "processor_seconds": [round(run[1], 2) for run in runs],
        "peak_memory_mib": [round(run[2]) for run in runs],
        "load_average_before": round(load, 2),
    }
    print(json.dumps(measured, indent=1))
    print(machine.save("aggregation", measured))


if __name__ == "__main__":
    main()
