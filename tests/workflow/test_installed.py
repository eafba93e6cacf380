"""The wheel in an environment of its own: a notebook's packages, then a run in an empty folder."""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from workflow_copy import REPOSITORY, copy_repository

pytestmark = pytest.mark.workflow

MOST = 45
"""Packages of a notebook, without pip itself."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    source = copy_repository(tmp_path_factory.mktemp("source") / "caploc").folder
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    target = tmp_path_factory.mktemp("wheel")
    call(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", target, source)
    return next(target.glob("caploc-*.whl"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory, wheel):
    """Python of a new environment with the wheel in it and no extra."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    python = folder / "bin/python"
    install(python, wheel)
    return python


def install(python: Path, what: object) -> None:
    limits = REPOSITORY / "envs/constraints.txt"
    call(python, "-m", "pip", "install", "-q", "-c", limits, what)


def call(*command: object, cwd: Path | None = None) -> str:
    """Run something that must not see the library of this checkout."""
    outside = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd or REPOSITORY.anchor, env=outside, text=True,
        capture_output=True, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


def test_a_notebook_needs_few_packages(environment):
    listed = json.loads(call(environment, "-m", "pip", "list", "--format", "json"))
    # torch's own choice: its wheel for accelerators brings their libraries
    names = {p["name"] for p in listed if not p["name"].startswith(("nvidia-", "cuda-", "triton"))}
    names -= {"pip", "setuptools", "wheel"}
    assert "caploc" in names and len(names) <= MOST, sorted(names)
    code = """if True:
        import caploc
        public = [getattr(caploc, name) for name in caploc.__all__]
        try: caploc.draw_map({})
        except caploc.DataError as error: print(error)
    """
    assert "pip install 'caploc[report]'" in call(environment, "-c", code)


def test_a_folder_is_set_up_and_runs(environment, wheel, tmp_path):
    install(environment, f"{wheel}[workflow]")
    caploc = environment.with_name("caploc")
    study = tmp_path / "a study"
    call(caploc, "init", study)
    assert {p.name for p in study.iterdir()} == {"Snakefile", "config.yaml", "config", "profiles"}
    shutil.copy(Path(__file__).with_name("small.yaml"), study)
    small = ("--configfile", "small.yaml", "--cores", "2")
    told = call(caploc, "run", "-n", *small, cwd=study)
    assert re.search(r"^write_report +1$", told, flags=re.M)
    call(caploc, "run", *small, cwd=study)
    assert (study / "results/small/report.html").is_file()
    assert "are right, 0 are not there yet" in call(
        caploc, "verify", "--configfile", "small.yaml", cwd=study
    )
    with pytest.raises(AssertionError, match="exists already"):
        call(caploc, "init", study)
    with pytest.raises(AssertionError, match="no Snakefile in this folder; `caploc init"):
        call(caploc, "run", cwd=tmp_path)
