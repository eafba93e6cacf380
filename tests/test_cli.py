"""`caploc <stage>`: what it passes on, and how it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from caploc import cli, plugins
from caploc.files import store
from caploc.records import DataError


@pytest.fixture
def called(monkeypatch, tmp_path):
    """Run the command line with a stage that records its job, where its inputs are."""
    jobs = []
    monkeypatch.chdir(tmp_path)
    for name in ("a b.parquet", "c.parquet", "x=y", "a", "b"):
        (tmp_path / name).touch()

    def call(*arguments, run=jobs.append):
        monkeypatch.setattr(cli, "import_module", lambda name: SimpleNamespace(run=run))
        for name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
            monkeypatch.setenv(name, "0")
        return cli.main(["build_mask", *arguments]), jobs

    return call


def caploc(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "caploc.cli", *map(str, arguments)],
        capture_output=True, text=True, cwd=cwd,
    )  # fmt: skip


def test_everything_reaches_the_stage(called):
    spec = {"sigma": 6.0, "prompt": "{question} 'a' \"b\" é\n"}
    status, (job,) = called(
        *("--spec", json.dumps(spec), "--code", "c0de", "--threads", "3"),
        *("--input", "scores=a b.parquet", "c.parquet", "--input", "other=x=y"),
        *("--output", "mask=m.parquet", "--output", "log=l"),
    )
    assert status == 0
    assert (job.stage, job.spec, job.code, job.threads) == ("build_mask", spec, "c0de", 3)
    assert job.inputs == {
        "scores": [Path("a b.parquet"), Path("c.parquet")], "other": [Path("x=y")],
    }  # fmt: skip
    assert job.outputs == {"mask": Path("m.parquet"), "log": Path("l")}
    assert os.environ["OMP_NUM_THREADS"] == os.environ["POLARS_MAX_THREADS"] == "3"


def test_an_optional_input_may_be_empty(called):
    _, (job,) = called("--input", "shuffled=", "--input", "models=", "a", "b")
    assert job.inputs == {"shuffled": [], "models": [Path("a"), Path("b")]}


def test_nothing_but_the_stage_is_needed(called):
    status, (job,) = called()
    assert status == 0
    assert (job.spec, job.inputs, job.outputs, job.threads) == ({}, {}, {}, 1)


def failing(error):
    def run(job):
        raise error

    return run


def test_a_bad_file_is_one_line_and_status_2(called, caplog):
    status, _ = called(run=failing(DataError("a.parquet: has 3 layers, expected 4; delete it")))
    assert status == 2
    (record,) = caplog.records
    assert record.getMessage() == (
        "caploc build_mask: error: a.parquet: has 3 layers, expected 4; delete it"
    )
    assert record.exc_info is None


def test_an_unforeseen_error_has_its_traceback_and_status_1(called, caplog):
    status, _ = called(run=failing(RuntimeError("boom")))
    assert status == 1
    assert "boom" in caplog.text
    assert "Traceback" in caplog.text


def test_a_real_run_writes_its_output_and_its_log(tmp_path):
    outputs = ("--output", f"csv={tmp_path}/t.csv", "--output", f"parquet={tmp_path}/t.parquet")
    log = tmp_path / "logs" / "deep" / "t.log"
    done = caploc(
        "join_parts",
        "--spec",
        '{"table": "agreement"}',
        "--code",
        "c0de",
        "--log",
        log,
        "--input",
        "parts=",
        *outputs,
    )
    assert done.returncode == 0, done.stderr
    assert store.read_metadata(tmp_path / "t.parquet")["origin"]["code"] == "c0de"
    assert (tmp_path / "t.csv").read_text().startswith("model,dataset,reference,")
    assert log.is_file()
    assert done.stdout == ""


def test_a_real_error_names_the_file_without_a_traceback(tmp_path):
    log = tmp_path / "t.log"
    done = caploc(
        "build_mask", "--log", log, "--input", f"scores={tmp_path}/absent.parquet",
        "--output", f"mask={tmp_path}/m.parquet",
    )  # fmt: skip
    assert done.returncode == 2
    message = f"caploc build_mask: error: {tmp_path}/absent.parquet: no such file"
    for text in (done.stderr, log.read_text()):
        assert message in text
        assert "Traceback" not in text
    assert not (tmp_path / "m.parquet").exists()


def test_an_unknown_stage_lists_the_stages():
    done = caploc("bild_mask")
    assert done.returncode == 2
    assert "invalid choice: 'bild_mask'" in done.stderr
    assert "build_mask" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_lists_the_stages_without_loading_them():
    done = caploc("--help")
    assert done.returncode == 0
    for name in plugins.stages():
        assert name in done.stdout.replace("\n", " ")


def test_the_installed_command_is_this_module():
    command = Path(sys.executable).parent / "caploc"
    if not command.is_file():
        pytest.skip("caploc is not installed in this environment")
    done = subprocess.run([command, "--help"], capture_output=True, text=True)
    assert done.stdout.startswith("usage: caploc")
