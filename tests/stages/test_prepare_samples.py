import json

import pyarrow as pa
import pytest

from caploc.files import store
from caploc.records import DataError
from caploc.samples.splits import SPLITS, prompt_digest
from caploc.stages import prepare_samples

SIZES = {"locate": 30, "train": 20, "validation": 10, "test": 15}


def prepare(folder, make_job, **settings):
    spec = {"task": "t", "plugin": "emotions", "samples": SIZES, "seed": 0} | settings
    outputs = {split: folder / f"{split}.parquet" for split in SPLITS}
    prepare_samples.run(make_job("prepare_samples", spec, {}, outputs))
    return outputs


def test_files(tmp_path, make_job):
    outputs = prepare(tmp_path, make_job)
    seen = set()
    for split, path in outputs.items():
        table = store.read_table(path)
        assert table.column_names == ["sample_id", "prompt", "answer", "meta"]
        assert all(column.type == pa.string() for column in table.columns)
        metadata = store.read_metadata(path)
        assert metadata["n"] == metadata["wanted"] == table.num_rows == SIZES[split]
        assert metadata["dropped"] == {}
        assert metadata["origin"]["spec"]["task"] == "t"
        for row in table.to_pylist():
            assert row["sample_id"] == prompt_digest(row["prompt"])
            assert json.loads(row["meta"])["label"] == row["answer"].strip()
            assert row["sample_id"] not in seen
            seen.add(row["sample_id"])


def test_same_seed_same_bytes(tmp_path, make_job):
    one, other = (prepare(tmp_path / name, make_job) for name in "ab")
    assert all(one[s].read_bytes() == other[s].read_bytes() for s in SPLITS)
    third = prepare(tmp_path / "c", make_job, seed=1)
    assert all(one[s].read_bytes() != third[s].read_bytes() for s in SPLITS)


def test_rows_from_a_file(tmp_path, make_job, caplog):
    path = tmp_path / "rows.csv"
    rows = [f'"{i} is, Ünicode",{i}' for i in range(60)]
    path.write_text("\n".join(["q,a", *rows, rows[0], ",5"]), encoding="utf-8")
    outputs = prepare(
        tmp_path, make_job, plugin="generic", files=str(path), prompt="{q}", answer=" {a}"
    )
    metadata = {split: store.read_metadata(path) for split, path in outputs.items()}
    assert metadata["locate"]["dropped"] == {"duplicate prompt": 1, "empty prompt": 1}
    assert metadata["test"]["dropped"] == {}
    assert sum(m["n"] for m in metadata.values()) == 60
    assert metadata["test"]["wanted"] == 15 > metadata["test"]["n"]
    assert metadata["test"]["sources"][0]["file"] == "rows.csv"
    assert "t test: 12 samples, wanted 15" in caplog.text


def test_errors_leave_no_files(tmp_path, make_job):
    with pytest.raises(DataError, match=r"unknown tasks plug-in 'emotional'; available: .*"):
        prepare(tmp_path, make_job, plugin="emotional")
    with pytest.raises(DataError, match=r"t.csv: no such file"):
        prepare(tmp_path, make_job, plugin="gsm8k", files="t.csv")
    assert list(tmp_path.iterdir()) == []
