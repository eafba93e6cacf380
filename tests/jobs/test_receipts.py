"""A job leaves a receipt beside each output, last, and refuses inputs that differ from theirs."""

import errno
import json
import logging
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from caploc import cli
from caploc.files import store
from caploc.jobs import receipts
from caploc.jobs.digests import file_digest
from caploc.jobs.job import Job
from caploc.jobs.locks import alone


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Run the command line with a stage of this test, on `in` and `out` in a temporary folder."""
    (tmp_path / "in").write_text("given")
    for name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
        monkeypatch.setenv(name, "1")

    def run(stage=lambda job: store.write_text("made", job.outputs["out"])):
        monkeypatch.setattr(cli, "import_module", lambda name: SimpleNamespace(run=stage))
        return cli.main(
            ["build_mask", "--spec", '{"sigma": 3}', "--code", "c0de",
             "--input", f"in={tmp_path}/in", "--output", f"out={tmp_path}/out"]
        )  # fmt: skip

    return run


def test_a_receipt_says_what_made_the_file(call, tmp_path):
    assert call() == 0
    assert receipts.read_receipt(tmp_path / "out") == {
        "stage": "build_mask", "spec": {"sigma": 3}, "code": "c0de",
        "inputs": {"in": [file_digest(tmp_path / "in")]}, "sha256": file_digest(tmp_path / "out"),
        "output": "out",
    }  # fmt: skip
    assert sorted(p.name for p in tmp_path.iterdir()) == [".out.receipt", "in", "out"]


@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyboardInterrupt()])
def test_a_job_that_fails_leaves_none_not_even_the_old_one(call, tmp_path, error):
    def fail(job):
        store.write_text("made", job.outputs["out"])
        raise error

    assert call() == 0
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            call(fail)
    else:
        assert call(fail) == 1
    assert receipts.read_receipt(tmp_path / "out") is None
    assert not (tmp_path / ".out.lock").exists()


@pytest.mark.parametrize("content", ["givem", "give", ""])
def test_an_input_that_was_damaged_is_refused(call, tmp_path, caplog, content):
    job = Job("prepare_samples", {}, "c", {}, {"x": tmp_path / "in"})
    receipts.write_receipts(job, job.origin())
    assert call() == 0
    (tmp_path / "in").write_text(content)
    (tmp_path / "out").unlink()
    assert call() == 2
    assert f"{tmp_path}/in: damaged or edited, its content is not what prepare_samples" in (
        caplog.text
    )
    assert not (tmp_path / "out").exists()


def test_what_another_process_finished_meanwhile_is_taken(call, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    assert call() == 0
    monkeypatch.setattr(cli, "alone", lambda path: waited(path))

    class waited:
        def __init__(self, path):
            self.held = alone(path)

        def __enter__(self):
            return self.held.__enter__() or True

        def __exit__(self, *what):
            return self.held.__exit__(*what)

    def never(job):
        raise AssertionError("made a second time")

    assert call(never) == 0
    assert "the other process has made the same files" in caplog.text
    # but not what differs in any way
    (tmp_path / "in").write_text("other")
    assert call(lambda job: store.write_text("again", job.outputs["out"])) == 0
    assert (tmp_path / "out").read_text() == "again"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_disk_that_takes_no_more_is_one_line(call, tmp_path, caplog, number, wrapped):
    def full(job):
        if wrapped:  # as safetensors says it
            raise RuntimeError(f"Error while serializing: I/O error: {os.strerror(number)}")
        raise OSError(number, os.strerror(number), str(job.outputs["out"]))

    assert call(full) == 2
    (record,) = [r for r in caplog.records if r.levelname == "ERROR"]
    assert os.strerror(number) in record.getMessage() and record.exc_info is None
    assert "; free some space and run" in record.getMessage() or "; make the f" in (
        record.getMessage()
    )
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_the_function_that_writes_meets_a_full_disk(call, tmp_path, caplog, monkeypatch):
    """ENOSPC where all files are written: nothing stays, under no name."""

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert call() == 2
    assert [p.name for p in tmp_path.iterdir()] == ["in"]
    assert "No space left on device; free some space" in caplog.text
    assert call() == 0


def test_a_log_that_cannot_be_written_is_one_line(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    status = cli.main(["build_mask", "--log", str(tmp_path / "file" / "log")])
    assert status in (1, 2)
    assert "build_mask" in caplog.text


def test_receipts_are_read_back_or_refused(tmp_path):
    path = Path(tmp_path / "x")
    assert receipts.read_receipt(path) is None
    receipts.receipt_of(path).write_text(json.dumps([1]))
    with pytest.raises(Exception, match="damaged receipt; delete it and"):
        receipts.read_receipt(path)
