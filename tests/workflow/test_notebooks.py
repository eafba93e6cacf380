"""The notebooks of examples/ are run, cell by cell, on a small model."""

import json
import re
from pathlib import Path

import pytest
from test_newcomer import save_model
from workflow_copy import REPOSITORY

pytestmark = pytest.mark.workflow

NOTEBOOKS = sorted((REPOSITORY / "examples").glob("*.ipynb"))


def cells(path: Path) -> list[dict]:
    return [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("small") / "model"
    save_model(folder)
    return folder


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs(path, small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for cell in cells(path):
        text = re.sub(r'folder = "[^"]*"', f"folder = {str(small)!r}", "".join(cell["source"]))
        text = text.replace("sigma=6", "sigma=2").replace("[:60]", "[:24]")  # it has no ability
        exec(compile(text, path.name, "exec"), names)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_kept_outputs_are_of_the_pretrained_model(path):
    first, *_ = cells(path)
    assert 'folder = "HuggingFaceTB/SmolLM2-135M-Instruct"' in "".join(first["source"])
    outputs = [output for cell in cells(path) for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert not re.search(r"/(?:home|root|tmp)/", path.read_text())


def test_the_first_look_is_ten_lines():
    """Of code that does something: the list of words, and what is printed, left out."""
    (path,) = (p for p in NOTEBOOKS if p.stem == "first-look")
    text = "\n".join("".join(cell["source"]) for cell in cells(path))
    text = re.sub(r'""".*?"""', "...", text, flags=re.S)
    lines = [line for line in text.splitlines() if line and not line.startswith("print")]
    assert len(lines) <= 16
