"""Commands of README and docs that are cheap: typed as they stand in a finished small run."""

import os
import re
import shutil
import subprocess

import pytest
from tried_commands import TYPED
from warm import programs
from workflow_copy import REPOSITORY, copy_repository

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished run as documentation supposes it: .venv, mine.yaml; the smallest configuration."""
    workflow = copy_repository(tmp_path_factory.mktemp("typed") / "caploc")
    copy = workflow.folder
    (copy / ".venv").symlink_to(programs())
    small = (REPOSITORY / "tests/workflow/small.yaml").read_text()
    (copy / "config/test.yaml").write_text(small.replace("name: small", "name: test"))
    shutil.copy(copy / "config/test.yaml", copy / "mine.yaml")
    workflow.run()
    return copy


def type_in(folder, command):
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=1800,
        env={"PATH": f"{folder}/.venv/bin:/usr/bin:/bin", "HOME": str(folder / "home"),
             "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(folder / "workflow"),
             "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")},
    )  # fmt: skip


@pytest.mark.parametrize("command", sorted(TYPED))
def test_a_command_does_what_the_page_says(folder, command):
    done = type_in(folder, f"{command.replace('<table>', 'agreement')} {TYPED[command]}")
    text = done.stdout + done.stderr
    assert done.returncode == 0, text[-4000:]
    assert "Traceback" not in text
    if "snakemake" not in command:
        assert text
    elif "-n" in command.split() and "mine.yaml" not in command:
        assert re.search(r"^fetch_model +1$", text, flags=re.M)  # the default run, from nothing
    elif "--forcerun" in command:
        assert re.search(r"^build_mask +\d+$", text, flags=re.M)
    else:
        assert "Nothing to be done" in text
