"""Data that would fill the memory, never end or change unseen is refused in one line."""

import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from caploc.jobs.digests import content_digest
from caploc.jobs.named_files import check_files
from caploc.records import DataError, Dropped
from caploc.samples import local_files
from caploc.samples.labels import label_word
from caploc.samples.local_files import read_file
from caploc.samples.scoring import number, same_text
from caploc.samples.source import read_parts
from caploc.samples.task import Task

TASK = Task("Own", "text", same_text, prompt="{question}", answer=" {answer}")
DIGITS = "9" * 5_000


def test_a_parquet_file_that_unfolds_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    """Half a megabyte on disk, a thousand times as much text."""
    monkeypatch.setattr(local_files, "_MOST_BYTES", 2**28)
    path = tmp_path / "bomb.parquet"
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 2_000, pa.int32()), ["x" * 2**19])
    pq.write_table(pa.table({"question": texts}), path, store_schema=False)
    assert path.stat().st_size < 2**20
    before = pa.total_allocated_bytes()
    with pytest.raises(DataError, match=r"bomb\.parquet: holds more than .* GiB of values; give"):
        read_file(path, "parquet", None)
    assert pa.total_allocated_bytes() - before < 2**20


@pytest.mark.parametrize("place", ["folder", "owner/data"])
def test_a_repo_that_is_a_local_folder_is_refused(tmp_path, monkeypatch, place):
    """The library would read it, and keep no digest of it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "train.jsonl").write_text('{"question": "a", "answer": "b"}\n')
    for repo in (place, str(tmp_path / place)):
        with pytest.raises(
            DataError, match=re.escape(f"`repo` {repo!r} is a local file or folder")
        ):
            list(read_parts(TASK, {"repo": repo}))


def test_numbers_of_thousands_of_digits_are_ordinary_text():
    assert number(DIGITS) is None and number(f"1 {DIGITS}.5/3") is None
    with pytest.raises(DataError, match=r"unknown label '9{80}'"):
        label_word(DIGITS, ["no", "yes"])


def test_half_a_character_drops_its_row(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"question": "a\\ud800", "answer": "b"}\n{"question": "a", "answer": "b"}\n')
    (part,) = read_parts(TASK, {"files": str(path)})
    first, second = part.rows
    with pytest.raises(Dropped, match="column 'question' holds half a character"):
        TASK.to_sample(first)
    assert TASK.to_sample(second)[:2] == ("a", " b")


def test_devices_are_no_data_and_no_part_of_a_digest(tmp_path):
    link, folder = tmp_path / "data.jsonl", tmp_path / "model"
    link.symlink_to("/dev/zero")
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    before = content_digest(folder)
    (folder / "more.json").symlink_to("/dev/zero")
    assert content_digest(link) == "" and content_digest(folder) == before
    run = {"tasks": ["mine"], "neutral": None, "models": []}
    with pytest.raises(DataError, match=r"tasks\.mine\.files: .*: no such file or folder"):
        check_files({"run": run, "tasks": {"mine": {"files": str(link)}}, "facts": {}}, [])
