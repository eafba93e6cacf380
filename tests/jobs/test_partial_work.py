"""Partial work that was changed since, lost its digest or is of another job is not gone on with."""

import pytest

from caploc.files import store
from caploc.jobs.job import Job
from caploc.jobs.partial_work import partial_work, sealed


class Killed(Exception):
    pass


def begin(job):
    """Work on until a kill; returns what was found at the beginning."""
    with pytest.raises(Killed), partial_work(job) as folder:
        found = {p.name for p in folder.rglob("*") if p.name.startswith("part") and p.suffix == ""}
        for name, text in (("part-0", "old"), ("deep/part-1", "one"), ("part-0", "new")):
            with sealed(folder / name) as path:
                store.write_text(text, path)
        raise Killed
    return found


def changed(path):
    path.write_text("gnu")


HARM = {
    "nothing": lambda folder: None,
    "content": lambda folder: changed(folder / "part-0"),
    "content in a folder": lambda folder: changed(folder / "deep/part-1"),
    "digest": lambda folder: changed(folder / "part-0.sum"),
    "no digest": lambda folder: (folder / "part-0.sum").unlink(),
    "added": lambda folder: changed(folder / "part-7"),
    "owner": lambda folder: (folder / "job.json").write_bytes(b"\xff"),
}


@pytest.mark.parametrize("harm", HARM)
def test_what_was_changed_is_dropped(tmp_path, harm):
    job = Job("build_mask", {"a": 1}, "c", {}, {"mask": tmp_path / "m.parquet"})
    assert begin(job) == set()
    HARM[harm](tmp_path / ".m.parquet.work")
    assert begin(job) == ({"part-0", "part-1"} if harm == "nothing" else set())
    assert begin(Job("build_mask", {"a": 2}, "c", {}, job.outputs)) == set()


def test_a_kill_between_digest_and_file_loses_nothing(tmp_path):
    job = Job("build_mask", {}, "c", {}, {"mask": tmp_path / "m.parquet"})
    begin(job)
    with pytest.raises(Killed), sealed(tmp_path / ".m.parquet.work/part-0") as path:
        store.write_text("newer", path)
        seal = tmp_path / ".m.parquet.work/part-0.sum"
        before = seal.read_text()
        seal.write_text(f"{before}\n{'0' * 64}")  # as it is just before the file gets its name
        raise Killed
    assert begin(job) == {"part-0", "part-1"}
