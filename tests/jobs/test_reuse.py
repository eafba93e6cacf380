"""A job takes the files of another run exactly where it would make the same ones."""

import json
from pathlib import Path

import pytest

from caploc.files import store
from caploc.jobs import receipts, reuse
from caploc.jobs.digests import file_digest
from caploc.jobs.job import Job
from caploc.records import DataError

OTHER = Path("results/other")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("given").write_text("input")


def job_of(run, spec=None, code="c0de"):
    """A job that makes a manifest, which names a file of weights, and a table."""
    folder = Path("results", run, "models/m")
    outputs = {"manifest": folder / "manifest.json", "curve": folder / "curve.txt"}
    return Job("train_model", spec or {"seed": 0}, code, {"in": [Path("given")]}, outputs)


def make(job):
    folder = job.outputs["manifest"].parent
    store.write_text("weights", folder / "hf/model.safetensors")
    files = {"model.safetensors": file_digest(folder / "hf/model.safetensors")}
    store.write_json({"path": "hf", "files": files}, job.outputs["manifest"])
    store.write_text("curve", job.outputs["curve"])
    receipts.write_receipts(job, job.origin())


def test_equal_work_is_copied_with_everything_it_names():
    make(job_of("other"))
    mine = job_of("mine")
    assert reuse.taken_from(mine, mine.origin(), [Path("results/none"), OTHER]) == OTHER
    assert receipts.is_finished(mine, mine.origin())
    for name in ("manifest.json", "curve.txt", "hf/model.safetensors"):
        copy, source = Path("results/mine/models/m", name), OTHER / "models/m" / name
        assert copy.read_bytes() == source.read_bytes()
        assert not copy.samefile(source)  # an edit of one must not reach the other
    receipts.check_inputs(Job("x", {}, "", {"m": [mine.outputs["manifest"]]}, {}))


@pytest.mark.parametrize("what", ["spec", "code", "input", "output", "weights", "gone", "receipt"])
def test_anything_that_differs_is_made_anew(what):
    theirs = job_of("other")
    make(theirs)
    mine = job_of("mine", {"seed": 1} if what == "spec" else None,
                  "other" if what == "code" else "c0de")  # fmt: skip
    if what == "input":
        Path("given").write_text("another input")
    if what == "output":
        theirs.outputs["curve"].write_text("curvy")
    if what == "weights":
        (OTHER / "models/m/hf/model.safetensors").write_text("weighty")
    if what == "gone":
        theirs.outputs["curve"].unlink()
    if what == "receipt":
        receipts.receipt_of(theirs.outputs["manifest"]).unlink()
    assert reuse.taken_from(mine, mine.origin(), [OTHER]) is None
    assert not Path("results/mine").exists()


OUTSIDE = [
    *(
        {"path": "hf", "files": {n: "0"}}
        for n in ("../../../../README.md", "/etc/hostname", "..", "")
    ),
    *({"path": path, "files": {"README.md": "0"}} for path in ("../../../..", "hf/../../x")),
]


@pytest.mark.parametrize("named", OUTSIDE)
def test_nothing_that_a_manifest_names_outside_its_folder_is_copied(named, caplog):
    Path("README.md").write_text("mine")
    theirs, mine = job_of("other"), job_of("mine")
    make(theirs)
    store.write_json(named, theirs.outputs["manifest"])
    receipts.write_receipts(theirs, theirs.origin())
    assert reuse.taken_from(mine, mine.origin(), [OTHER]) is None
    assert "not inside its folder" in caplog.text
    assert Path("README.md").read_text() == "mine"
    with pytest.raises(DataError, match="not inside its folder"):
        receipts.check_inputs(Job("x", {}, "", {"m": [theirs.outputs["manifest"]]}, {}))


def test_a_model_that_somebody_else_keeps_stays_where_it_is(tmp_path):
    theirs, mine = job_of("other"), job_of("mine")
    make(theirs)
    store.write_text("kept", tmp_path / "kept/model.safetensors")
    files = {"model.safetensors": file_digest(tmp_path / "kept/model.safetensors")}
    named = {"path": str(tmp_path / "kept"), "files": files}
    store.write_json(named, theirs.outputs["manifest"])
    receipts.write_receipts(theirs, theirs.origin())
    assert reuse.taken_from(mine, mine.origin(), [OTHER]) == OTHER
    assert not Path("results/mine/models/m/model.safetensors").exists()
    assert receipts.wrong_file(mine.outputs["manifest"]) is None


def test_a_run_does_not_take_from_itself():
    mine = job_of("mine")
    make(mine)
    assert reuse.taken_from(mine, mine.origin(), [Path("results/mine")]) is None


def test_the_runs_come_from_the_environment(monkeypatch):
    monkeypatch.delenv(reuse.VARIABLE, raising=False)
    assert reuse.other_runs() == []
    monkeypatch.setenv(reuse.VARIABLE, "results/a:results/b")
    assert reuse.other_runs() == [Path("results/a"), Path("results/b")]


def test_the_origin_has_no_trace_of_the_run():
    """Or nothing could ever be equal."""
    assert "other" not in json.dumps(job_of("other").origin())
