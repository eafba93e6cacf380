"""The commands of README and docs that install something, in an empty clone.

    python benchmarks/installing.py

Needs a network. Writes benchmarks/results/installing.json: status and seconds of each command;
tests/test_documented_commands.py looks up there that they have run. Times are those of this
machine's network and are no measurement of anything else.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import save

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests/faults"))

from tried_commands import LAST_RUN  # noqa: E402 - one list for this and the tests


def main() -> None:
    runs = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "caploc"
        subprocess.run(["git", "clone", "--quiet", REPOSITORY, folder], check=True)
        path = f"{folder}/.venv/bin:{os.environ['PATH']}"
        for command, (why, _) in LAST_RUN.items():
            if why != "network":
                continue
            start = time.perf_counter()
            done = subprocess.run(
                ["bash", "-c", command], cwd=folder, env=os.environ | {"PATH": path}
            )
            seconds = round(time.perf_counter() - start, 1)
            runs[command] = {"status": done.returncode, "seconds": seconds}
        # What was installed works.
        subprocess.run([".venv/bin/snakemake", "-n", "--quiet", "all"], cwd=folder, check=True)
    save("installing", {"runs": runs})


if __name__ == "__main__":
    main()
