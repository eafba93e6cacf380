from collections import Counter

import pytest

from caploc.files import store
from caploc.records import Sample
from caploc.stages import shuffle_answers
from caploc.stages.prepare_samples import samples_table


def write(path, answers):
    samples = [
        Sample(f"s{i}", f"prompt {i}", answer, {"k": str(i)}) for i, answer in enumerate(answers)
    ]
    metadata = {"origin": {}, "n": len(samples), "wanted": 50, "dropped": {"x": 1}}
    store.write_table(samples_table(samples), path, metadata)
    return path


def shuffle(path, make_job, out, seed=0):
    spec = {"task": "t", "seed": seed}
    shuffle_answers.run(make_job("shuffle_answers", spec, {"samples": [path]}, {"samples": out}))
    return store.read_table(out)


def test_only_the_answers_move(tmp_path, make_job):
    answers = [f" {i % 30}" for i in range(40)]
    path, out = write(tmp_path / "a.parquet", answers), tmp_path / "b.parquet"
    table, before = shuffle(path, make_job, out), store.read_table(path)
    for name in ("sample_id", "prompt", "meta"):
        assert table[name].to_pylist() == before[name].to_pylist()
    shuffled = table["answer"].to_pylist()
    assert shuffled != answers
    assert Counter(shuffled) == Counter(answers)
    metadata = store.read_metadata(out)
    same = sum(a == b for a, b in zip(answers, shuffled, strict=True))
    assert metadata["share_unchanged"] == pytest.approx(same / 40)
    assert (metadata["n"], metadata["wanted"], metadata["dropped"]) == (40, 50, {})


def test_seeded(tmp_path, make_job):
    path = write(tmp_path / "a.parquet", [str(i) for i in range(30)])
    one, same, other = (
        shuffle(path, make_job, tmp_path / f"{i}.parquet", seed) for i, seed in enumerate((0, 0, 1))
    )
    assert one.equals(same)
    assert not one.equals(other)


def test_equal_answers_stay_and_are_reported(tmp_path, make_job):
    path, out = write(tmp_path / "a.parquet", ["yes"] * 10), tmp_path / "b.parquet"
    shuffle(path, make_job, out)
    assert store.read_metadata(out)["share_unchanged"] == 1.0
