"""The commands of README and docs, and the messages of docs/operations.md by section."""

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TEXT = (REPOSITORY / "docs/operations.md").read_text()
_PROGRAMS = r"(?:\.venv/bin/|caploc |snakemake |make |python |pip )"


@dataclass(frozen=True)
class Section:
    """What a user sees and types."""

    messages: list[str]
    commands: list[str]


def _lines(kind: str, text: str) -> list[str]:
    blocks = re.findall(rf"^```{kind}\n(.*?)^```$", text, flags=re.M | re.S)
    return [line for block in blocks for line in block.splitlines()]


SECTIONS = {
    title: Section(_lines("text", text), _lines("sh", text))
    for title, text in re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", TEXT, flags=re.M | re.S)
}


def pages() -> dict[str, str]:
    """Text of README and of every page of docs, by its name."""
    paths = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
    return {path.relative_to(REPOSITORY).as_posix(): path.read_text() for path in paths}


def commands(text: str) -> list[str]:
    """Every command of a page once: of sh, bash and console blocks, and in the running text.

    In the text a command begins with one of our programs and has an argument. Lines that a
    backslash or an open quotation mark continues are one command; comments are left out.
    """
    found = []
    for kind in ("sh", "bash", "console"):
        for block in re.findall(rf"^```{kind}\n(.*?)^```$", text, flags=re.M | re.S):
            found += _joined(block)
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    found += re.findall(rf"`({_PROGRAMS}[^`\n]*)`", prose)
    return list(dict.fromkeys(line for line in found if " " in line))


def _joined(block: str) -> list[str]:
    found, begun = [], ""
    for line in block.splitlines():
        begun += line.lstrip().removeprefix("$ ")
        if begun.endswith("\\"):
            begun = begun[:-1].rstrip() + " "
            continue
        try:
            shlex.split(begun, comments=True)
        except ValueError:  # a quotation mark is open
            begun += "\n"
            continue
        found.append(re.sub(r" +# .*", "", begun).strip())
        begun = ""
    return [line for line in found if line]


def type_in(folder: Path, command: str) -> tuple[int, str]:
    """Run a line of the documentation as it stands, in the folder of a run; status and text."""
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=1800,
        env={
            "PATH": os.environ["PATH"], "HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1",
            "PYTHONPATH": str(folder / "workflow"),
        },
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def shows(title: str, text: str) -> None:
    """Check that a user sees every line that the section promises."""
    for message in SECTIONS[title].messages:
        assert message in text, f"{message!r} is not in:\n{text[-3000:]}"
