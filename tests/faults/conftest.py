"""One finished run of a very small configuration, and copies of it to disturb."""

import shutil
import sys
from pathlib import Path

import pytest
from documented import type_in
from warm import programs

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "benchmarks"))

import faults  # noqa: E402 - the benchmark of twenty kills and these tests share their means


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> Path:
    """A finished run, never disturbed."""
    folder = faults.copy_workflow(tmp_path_factory.mktemp("undisturbed") / "caploc")
    (folder / ".venv").symlink_to(programs())
    status, text = type_in(folder, ".venv/bin/snakemake --cores 2 --configfile mine.yaml")
    assert status == 0, text
    return folder


@pytest.fixture
def finished(undisturbed, tmp_path) -> Path:
    """A copy of the finished run, with .venv and mine.yaml as in the documentation."""
    folder = tmp_path / "caploc"
    shutil.copytree(undisturbed, folder, symlinks=True)
    return folder
