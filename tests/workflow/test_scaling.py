"""The commands and settings of docs/scaling.md are executed as they stand there."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from warm import programs

from caploc.config import check
from caploc.estimate.devices import SHARE

REPOSITORY = Path(__file__).resolve().parents[2]
TEXT = (REPOSITORY / "docs/scaling.md").read_text()
PLANS = [
    line for block in re.findall(r"```sh\n(.*?)```", TEXT, flags=re.S)
    for line in block.splitlines() if line.startswith("caploc plan")
]  # fmt: skip
PLANS += re.findall(r"`(caploc plan [^`]+)`", TEXT)


@pytest.mark.parametrize("line", PLANS)
def test_plans(line):
    program, *words = shlex.split(line)
    done = subprocess.run(
        [programs() / "bin" / program, *words], cwd=REPOSITORY, capture_output=True,
        text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "takes" in done.stdout


def test_settings():
    (example,) = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.S)
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    config["models"] |= yaml.safe_load(example)["models"]
    check(config)


def test_the_share_of_the_peak_is_the_one_of_the_table():
    assert f"times {SHARE:g}" in TEXT


@pytest.mark.workflow
def test_samples_then_plan_then_compare(finished, tmp_path):
    """The rest, on the finished small run: its samples are there already."""
    lines = [line for block in re.findall(r"```sh\n(.*?)```", TEXT, flags=re.S)
             for line in block.splitlines()]  # fmt: skip
    assert sum(line.startswith("snakemake") for line in lines) == 1
    (prepare,) = [line for line in lines if line.startswith("snakemake")]
    assert set(finished.planned(*shlex.split(prepare)[3:-2])) <= {"samples"}
    (compare,) = [line for line in lines if line.startswith("caploc compare")]
    for line in ("caploc plan config/test.yaml --json", compare):
        words = shlex.split(line.replace("compare-test", str(tmp_path / "compare-test")))
        done = subprocess.run(
            [programs() / "bin" / words[0], *words[1:]], cwd=finished.folder,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "compare-test.html").is_file()
