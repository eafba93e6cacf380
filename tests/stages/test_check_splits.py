import pyarrow as pa
import pytest

from caploc.files import store
from caploc.records import DataError, Sample
from caploc.samples.splits import prompt_digest
from caploc.stages import check_splits
from caploc.stages.prepare_samples import samples_table


def split(root, task, name, prompts):
    path = root / task / f"{name}.parquet"
    samples = [Sample(prompt_digest(p), p, " a", {}) for p in prompts]
    store.write_table(samples_table(samples), path, {})
    return path


def training(root, model, prompts):
    path = root / model / "training_prompts.parquet"
    columns = {"task": ["x"] * len(prompts), "prompt_digest": [prompt_digest(p) for p in prompts]}
    store.write_table(pa.table(columns), path, {})
    return path


@pytest.fixture
def check(tmp_path, make_job):
    def run(samples, prompts):
        report = tmp_path / "disjoint.json"
        inputs = {"samples": samples, "prompts": prompts}
        check_splits.run(make_job("check_splits", {"tasks": []}, inputs, {"report": report}))
        return store.read_json(report)

    return run


def test_disjoint_splits_are_reported(tmp_path, check):
    samples = [
        split(tmp_path, "one", "locate", ["a", "b"]),
        split(tmp_path, "one", "test", ["c"]),
        split(tmp_path, "two", "locate", ["c", "d"]),
    ]
    report = check(samples, [training(tmp_path, "m", ["x", "y", "z"])])
    assert report["prompts"] == {"one/locate": 2, "one/test": 1, "two/locate": 2}
    assert report["training_prompts"] == {"m": 3}
    shared = {(row["a"], row["b"]): row["shared"] for row in report["pairs"]}
    assert shared[("one/locate", "one/test")] == 0
    # two tasks may ask the same; it is counted
    assert shared[("one/test", "two/locate")] == 1
    assert shared[("two/locate", "training text of m")] == 0
    assert len(shared) == 3 + 3


def test_a_prompt_in_two_splits_is_refused(tmp_path, check):
    samples = [
        split(tmp_path, "one", "locate", ["How many?", "b"]),
        split(tmp_path, "one", "test", ["how  MANY?"]),
    ]
    with pytest.raises(
        DataError,
        match=r"task 'one': 1 prompts of split locate are also in split test, the first is 'How ma",
    ):
        check(samples, [])
    assert not (tmp_path / "disjoint.json").exists()


def test_a_prompt_of_the_training_text_is_refused(tmp_path, check):
    samples = [split(tmp_path, "one", "test", ["a", "b"])]
    prompts = [training(tmp_path, "clean", ["x"]), training(tmp_path, "leaky", ["x", "B "])]
    with pytest.raises(
        DataError,
        match=r"1 prompts of split test are also in training text of leaky, .*'b';",
    ):
        check(samples, prompts)


def test_no_trained_model(tmp_path, make_job):
    path = split(tmp_path, "one", "test", ["a"])
    report = tmp_path / "r.json"
    check_splits.run(
        make_job("check_splits", {}, {"samples": [path], "prompts": []}, {"report": report})
    )
    assert store.read_json(report)["pairs"] == []
