"""All benchmarks, one after another: `make bench`."""

import subprocess
import sys
from pathlib import Path

for name in ("workflow", "embedded", "attribution", "aggregation", "families"):
    subprocess.run([sys.executable, Path(__file__).parent / f"{name}.py"], check=True)
