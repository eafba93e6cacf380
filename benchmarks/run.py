"""All benchmarks, one after another: `make bench`."""

import subprocess
import sys
from pathlib import Path

NAMES = (
    "workflow", "embedded", "attribution", "aggregation", "families", "tracing", "circuits",
)  # fmt: skip
for name in NAMES:
    subprocess.run([sys.executable, Path(__file__).parent / f"{name}.py"], check=True)
