"""Write the lock files: every package of an installation, with the digests of all its files.

    .venv/bin/python envs/lock.py

Versions are those of requirements*.txt and constraints.txt; `uv` (pip install uv) asks the index
for digests. torch and what only it brings stand apart, so that whoever has another build of torch
keeps it. `make` installs nothing whose digest is not here.
"""

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
OF_TORCH = re.compile(r"(torch|triton|nvidia-.*|cuda-.*)==")


def locked(*names: str) -> list[str]:
    """One text for each package: version, where it is needed, digests."""
    command = [
        sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--no-header",
        "--python-version", "3.11", "--generate-hashes", "--no-annotate",
        "-c", "constraints.txt", *names,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=HERE, check=True, capture_output=True, text=True)
    return re.split(r"\n(?=[A-Za-z0-9])", done.stdout.strip())


def write(name: str, packages: list[str]) -> None:
    head = "# Made by envs/lock.py: no package is installed whose digest is not here.\n"
    (HERE / name).write_text(head + "\n".join(packages) + "\n", encoding="utf-8")


def main() -> None:
    run = locked("requirements.txt")
    more = [p for p in locked("requirements.txt", "requirements-dev.txt") if p not in run]
    write("lock-torch.txt", [p for p in run if OF_TORCH.match(p)])
    write("lock.txt", [p for p in run if not OF_TORCH.match(p)])
    write("lock-dev.txt", more)


if __name__ == "__main__":
    main()
