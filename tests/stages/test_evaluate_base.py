"""A toy that has learned its task answers it; files and counts are as documented."""

import random

import pytest

from caploc.files import store
from caploc.jobs.job import Job
from caploc.records import Sample
from caploc.stages import evaluate_base, train_model
from caploc.stages.prepare_samples import samples_table
from caploc.tasks import emotions


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """A model that has read a few hundred statements about feelings."""
    folder = tmp_path_factory.mktemp("model")
    spec = {
        "model": "toy", "seed": 0,
        "architecture": {
            "layers": 2, "hidden": 32, "ffn": 64, "heads": 4, "kv_heads": 2, "context": 32,
        },
        "train": {
            "steps": 120, "batch": 24, "learning_rate": 5e-3, "warmup": 10,
            "mixture": {"emotions": 1},
        },
    }  # fmt: skip
    outputs = {
        "manifest": folder / "manifest.json",
        "loss": folder / "loss.parquet",
        "prompts": folder / "training_prompts.parquet",
    }
    train_model.run(Job("train_model", spec, "", {}, outputs))
    return outputs["manifest"]


def evaluate(manifest, samples, tmp_path, make_job, **settings):
    path = tmp_path / "samples.parquet"
    store.write_table(samples_table(samples), path, {})
    spec = {"model": "toy", "task": "emotions", "plugin": "emotions"} | settings
    out = tmp_path / "answers.parquet"
    inputs = {"manifest": [manifest], "samples": [path]}
    evaluate_base.run(make_job("evaluate_base", spec, inputs, {"answers": out}))
    return store.read_table(out).to_pylist(), store.read_metadata(out)


def some(n):
    rng = random.Random(1)
    return [Sample(f"s{i}", *emotions.TASK.generate(rng)) for i in range(n)]


def test_answers(manifest, tmp_path, make_job):
    samples = some(60)
    rows, metadata = evaluate(manifest, samples, tmp_path, make_job, batch=16)
    assert [row["sample_id"] for row in rows] == [s.sample_id for s in samples]
    assert [row["answer"] for row in rows] == [s.answer for s in samples]
    for row in rows:
        assert row["correct"] is (row["completion"].strip() == row["answer"].strip())
    assert sum(row["correct"] for row in rows) > 15  # one in six by chance
    assert metadata["n"] == 60 and metadata["dropped"] == []
    assert metadata["origin"]["spec"]["model"] == "toy"


def test_batches_change_nothing(manifest, tmp_path, make_job):
    one, other = (evaluate(manifest, some(20), tmp_path, make_job, batch=b)[0] for b in (1, 20))
    assert one == other


def test_samples_that_do_not_fit_are_dropped_with_the_reason(manifest, tmp_path, make_job):
    samples = [*some(2), Sample("long", "I felt " * 40, " joy", {})]
    rows, metadata = evaluate(manifest, samples, tmp_path, make_job)
    assert len(rows) == 2
    assert metadata["dropped"] == [["long", "does not fit the context of 32 tokens"]]


def test_no_samples(manifest, tmp_path, make_job):
    rows, metadata = evaluate(manifest, [], tmp_path, make_job)
    assert rows == [] and metadata["n"] == 0
