"""Local files in every format, and what is said about those that cannot be read."""

import json
import re

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from caploc.records import DataError
from caploc.samples.scoring import same_text
from caploc.samples.source import read_parts
from caploc.samples.task import Task
from caploc.tasks import gsm8k

TASK = Task("Own", "text", same_text, prompt="{question}", answer=" {answer}")
ROWS = [
    {"question": "What is 'x'?", "answer": "007"},
    {"question": "NA, or \u0085 null", "answer": "1.50"},
]


def write(path, kind):
    match kind:
        case "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
        case "json":
            path.write_text(json.dumps(ROWS))
        case "csv":
            lines = [f'"{r["question"]}",{r["answer"]}' for r in ROWS]
            path.write_text("\n".join(["question,answer", *lines]) + "\n", encoding="utf-8")
        case "tsv":
            lines = [f"{r['question']}\t{r['answer']}" for r in ROWS]
            path.write_text("\n".join(["question\tanswer", *lines]) + "\n", encoding="utf-8")
        case "parquet":
            pq.write_table(pa.Table.from_pylist(ROWS), path)
    return str(path)


def rows_of(settings, task=TASK):
    return [row for part in read_parts(task, settings) for row in part.rows]


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "tsv", "parquet"])
def test_formats_give_equal_rows(tmp_path, kind):
    path = write(tmp_path / f"rows.{kind}", kind)
    assert rows_of({"files": path}) == [{"split": "all"} | row for row in ROWS]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "tsv"])
def test_format_can_be_named(tmp_path, kind):
    path = write(tmp_path / "rows.data", kind)
    assert len(rows_of({"files": path, "format": kind})) == 2
    with pytest.raises(DataError, match=r"format is not clear from its ending; set `format`"):
        rows_of({"files": path})


def test_lists_and_named_parts(tmp_path):
    a, b = write(tmp_path / "a.jsonl", "jsonl"), write(tmp_path / "b.csv", "csv")
    assert len(rows_of({"files": [a, b]})) == 4
    parts = list(read_parts(TASK, {"files": {"good": [a], "bad": b}}))
    assert [(p.split, p.where) for p in parts] == [("good", a), ("bad", b)]
    assert [row["split"] for p in parts for row in p.rows] == ["good", "good", "bad", "bad"]
    assert re.fullmatch("[0-9a-f]{64}", parts[0].origin["sha256"])


def test_text_files_have_a_line_a_row_and_the_part_is_a_column(tmp_path):
    path = tmp_path / "rt.pos"
    path.write_text("a \u0085 b\nc\n", encoding="utf-8")
    task = Task("Own", "text", same_text, prompt="{text}", answer=" {split}")
    rows = rows_of({"files": {"positive": str(path)}, "format": "text"}, task)
    assert rows == [{"split": "positive", "text": t} for t in ("a \u0085 b", "c")]


def test_files_without_header_and_renamed_columns(tmp_path):
    path = tmp_path / "rows.tsv"
    path.write_text('he said "no\t3\tx1\nNA\t4\tx2\n')
    settings = {"files": str(path), "header": ["text", "label", "id"]}
    columns = {"question": "text", "answer": "label"}
    rows = rows_of(settings | {"columns": columns})
    assert [(r["question"], r["answer"]) for r in rows] == [('he said "no', "3"), ("NA", "4")]


def test_missing_column_names_file_column_and_remedy(tmp_path):
    path = write(tmp_path / "rows.csv", "csv")
    with pytest.raises(
        DataError,
        match=r"rows.csv: column 'topic' is missing; found \['question', 'answer'\]; rename with "
        r"`columns: \{topic: <name in the file>\}`",
    ):
        rows_of({"files": path}, Task("", "text", same_text, prompt="{topic}", answer="{answer}"))
    with pytest.raises(DataError, match="column 'Q' is missing"):
        rows_of({"files": path, "columns": {"question": "Q"}})


def test_files_that_cannot_be_read(tmp_path):
    missing = tmp_path / "none.csv"
    with pytest.raises(DataError, match=r"none.csv: no such file; `files` takes paths relative"):
        rows_of({"files": str(missing)})
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    with pytest.raises(DataError, match=r"empty\.jsonl: the file is empty"):
        rows_of({"files": str(empty)})
    header = tmp_path / "header.csv"
    header.write_text("question,answer\n")
    with pytest.raises(DataError, match=r"header.csv.*no rows; expected at least one"):
        rows_of({"files": str(header)})
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"question": "a", "answer": "b"}\n{"question": ')
    with pytest.raises(DataError, match=r"broken.jsonl: cannot be read as jsonl \(.+\); correct"):
        rows_of({"files": str(broken)})
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"question,answer\n\xff\xfe,1\n")
    with pytest.raises(DataError, match=r"binary.csv: (not UTF-8 text|cannot be read as csv)"):
        rows_of({"files": str(binary)})
    fake = tmp_path / "fake.parquet"
    fake.write_text("no parquet")
    with pytest.raises(DataError, match=r"fake.parquet: cannot be read as parquet"):
        rows_of({"files": str(fake)})


def test_a_row_with_too_many_cells_is_an_error(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("question,answer\na,b\nc,d,e\n")
    with pytest.raises(DataError, match=r"rows.csv: cannot be read as csv"):
        rows_of({"files": str(path)})


def test_no_network_says_what_to_do():
    with pytest.raises(DataError, match=r"openai/gsm8k at 'main' cannot be fetched .*set `files`"):
        rows_of({}, gsm8k.TASK)
    with pytest.raises(DataError, match="no data set of its own: set `files`"):
        rows_of({})


def test_hub_parts_columns_and_revision(monkeypatch):
    calls = []
    commit = "c0ffee" + 34 * "0"

    def load_dataset(repo, name, revision):
        calls.append((repo, name, revision))
        part = datasets.Dataset.from_list([{"question": "q", "answer": "#### 1"}])
        part.info.download_checksums = {f"hf://datasets/{repo}@{commit}/main/a.parquet": {}}
        return datasets.DatasetDict({"train": part, "test": part, "other": part})

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    parts = list(read_parts(gsm8k.TASK, {"revision": "v1"}))
    assert calls == [("openai/gsm8k", "main", "v1")]
    assert [p.split for p in parts] == ["train", "test"]
    assert parts[0].origin == {"repo": "openai/gsm8k", "revision": commit}
    assert next(iter(parts[0].rows))["answer"] == "#### 1"
    own = list(read_parts(TASK, {"repo": "me/mine"}))
    assert calls[-1] == ("me/mine", None, "main")
    assert [p.split for p in own] == ["train", "test", "other"]
