import json
from itertools import combinations

import pytest

from caploc import plugins
from caploc.records import DataError
from caploc.samples.preparation import prepare
from caploc.samples.splits import SPLITS
from caploc.tasks import emotion, facts, generic, gsm8k

WANTED = {"locate": 40, "train": 30, "validation": 10, "test": 20}


def own_rows(tmp_path, name, questions):
    path = tmp_path / name
    rows = [{"question": q, "answer": f"#### {i}"} for i, q in enumerate(questions)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def ids(splits):
    return {name: [s.sample_id for s in split.samples] for name, split in splits.items()}


def assert_disjoint(splits):
    for a, b in combinations(ids(splits).values(), 2):
        assert not set(a) & set(b)


@pytest.mark.parametrize(
    "name", [n for n in plugins.names("tasks") if plugins.load("tasks", n).TASK.generate]
)
def test_generated_splits(name):
    task = plugins.load("tasks", name).TASK
    splits = prepare(task, {"task": name}, WANTED, 0)
    assert tuple(splits) == SPLITS
    assert {k: len(v.samples) for k, v in splits.items()} == WANTED
    assert_disjoint(splits)
    assert all(task.is_held_out(s.prompt, s.meta) for v in splits.values() for s in v.samples)
    assert ids(prepare(task, {"task": name}, WANTED, 0)) == ids(splits)
    assert ids(prepare(task, {"task": name}, WANTED, 1)) != ids(splits)


def test_a_small_space_is_shared_out():
    splits = prepare(facts.TASK, {"task": "facts"}, dict.fromkeys(SPLITS, 1000), 0)
    assert [len(s.samples) for s in splits.values()] == [120, 120, 120, 120]
    assert splits["test"].wanted == 1000


def test_one_file_is_cut_into_four(tmp_path):
    path = own_rows(tmp_path, "all.jsonl", [f"How many {i}?" for i in range(120)])
    splits = prepare(gsm8k.TASK, {"task": "g", "files": path}, WANTED, 0)
    assert {k: len(v.samples) for k, v in splits.items()} == WANTED
    assert_disjoint(splits)
    assert splits["train"].sources[0]["file"] == "all.jsonl"


def test_test_and_validation_files_feed_their_splits(tmp_path):
    train = [f"train {i}" for i in range(100)] + ["test 3"]
    files = {
        "train": own_rows(tmp_path, "train.jsonl", train),
        "test": own_rows(tmp_path, "test.jsonl", [f"test {i}" for i in range(25)]),
    }
    splits = prepare(gsm8k.TASK, {"task": "g", "files": files}, WANTED, 0)
    assert_disjoint(splits)
    assert all("test" in s.prompt for s in splits["test"].samples)
    others = [s for name in SPLITS[:3] for s in splits[name].samples]
    assert not any("test" in s.prompt for s in others)
    assert splits["locate"].dropped == {"duplicate prompt": 1}
    assert splits["test"].dropped == {}


def test_a_lone_test_file_is_cut_like_any_other(tmp_path):
    files = {"test": own_rows(tmp_path, "test.jsonl", [f"q {i}" for i in range(100)])}
    splits = prepare(gsm8k.TASK, {"task": "g", "files": files}, WANTED, 0)
    assert {k: len(v.samples) for k, v in splits.items()} == WANTED


def test_dropped_rows_are_counted_once(tmp_path):
    rows = [{"question": f"q {i}", "answer": f"#### {i}"} for i in range(100)]
    rows += [{"question": "Q  1", "answer": "#### 1"}, {"question": "q 200", "answer": "no"}]
    rows += [{"question": "", "answer": ""}]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    splits = prepare(gsm8k.TASK, {"task": "g", "files": str(path)}, WANTED, 0)
    assert splits["locate"].dropped == {"duplicate prompt": 1, "no number after ####": 2}
    assert all(not splits[name].dropped for name in SPLITS[1:])


@pytest.mark.parametrize("n", [1, 3, 30])
def test_few_samples_are_enough_to_go_on(tmp_path, n):
    """Experiments say what they lack; the first twenty are to locate with."""
    path = own_rows(tmp_path, "few.jsonl", [f"q {i}" for i in range(n)])
    splits = prepare(gsm8k.TASK, {"task": "g", "files": path}, WANTED, 0)
    assert sum(len(split.samples) for split in splits.values()) == n
    assert len(splits["locate"].samples) == min(n, 20)


def test_no_sample_to_locate_with_is_an_error(tmp_path):
    path = tmp_path / "none.jsonl"
    path.write_text('{"question": "q", "answer": "no number"}\n' * 2)
    with pytest.raises(
        DataError,
        match=r"task 'g': no sample to locate with; dropped rows: 2 no number after ####; correct",
    ):
        prepare(gsm8k.TASK, {"task": "g", "files": str(path)}, WANTED, 0)


def test_own_templates_and_labels(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("t,l\n" + "".join(f"text {i},{i % 2}\n" for i in range(100)))
    settings = {
        "task": "e", "files": str(path), "columns": {"text": "t", "label": "l"},
        "labels": ["calm", "wild"], "prompt": "{text} is", "answer": " {label}!",
    }  # fmt: skip
    sample = prepare(emotion.TASK, settings, WANTED, 0)["locate"].samples[0]
    assert sample.prompt.endswith(" is")
    assert sample.answer in (" calm!", " wild!")
    own = {"task": "o", "files": str(path), "prompt": "{t}:", "answer": " {l}"}
    assert prepare(generic.TASK, own, WANTED, 0)["test"].samples[0].prompt.startswith("text ")


def test_a_bad_record_is_named(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("text,label\nfine,1\nodd,7\n")
    with pytest.raises(DataError, match=r"rows.csv, record 2: unknown label '7'; expected 0 to 5"):
        prepare(emotion.TASK, {"task": "e", "files": str(path)}, WANTED, 0)


def test_settings_without_meaning_are_refused():
    with pytest.raises(DataError, match="is generated: `prompt` has no meaning for it; use plugin"):
        prepare(facts.TASK, {"task": "f", "prompt": "{x}"}, WANTED, 0)
    with pytest.raises(DataError, match="'Own data' needs `prompt`"):
        prepare(generic.TASK, {"task": "o", "files": "x.csv"}, WANTED, 0)
