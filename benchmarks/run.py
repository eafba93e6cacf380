"""All benchmarks, one after another: `make bench`."""

import subprocess
import sys
from pathlib import Path

COMMANDS = (
    "workflow",
    "embedded",
    "attribution",
    "attribution --layers 16 --prompt 256 --answer 64 --rounds 3",
    "attribution --scaling --answer 4 --rounds 3",
    "huge_pages",
    "attribution_precision",
    "attribution_neuronwise",
    "adaptive",
    "attribution_gpu",
    "aggregation",
    "memory",
    "families",
    "tracing",
    "circuits",
    "enhancement",
    "load",
    "faults",
)

for command in COMMANDS:
    name, *arguments = command.split()
    subprocess.run([sys.executable, Path(__file__).parent / f"{name}.py", *arguments], check=True)
