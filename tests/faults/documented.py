"""The commands and messages of docs/operations.md, by section."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

TEXT = (Path(__file__).resolve().parents[2] / "docs/operations.md").read_text()


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


def type_in(folder: Path, command: str) -> tuple[int, str]:
    """Run a line of the documentation as it stands, in the folder of a run; status and text."""
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=600,
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
