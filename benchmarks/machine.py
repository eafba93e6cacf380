"""What a measurement ran on, and where its numbers go."""

import json
import os
import platform
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def describe() -> dict:
    """Processor, cores, memory and the versions that matter."""
    import torch

    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "vector": torch.backends.cpu.get_cpu_capability(),
        "memory_gib": round(memory / 2**30, 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def save(name: str, measured: dict) -> Path:
    """Write one JSON under benchmarks/results, with the machine and the command."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    command = " ".join(["python", os.path.relpath(sys.argv[0]), *sys.argv[1:]])
    record = {"command": command, "machine": describe()} | measured
    path.write_text(json.dumps(record, indent=1) + "\n")
    return path
