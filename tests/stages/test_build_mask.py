"""Scores file to mask file."""

import numpy as np
import pytest

from caploc.files import store
from caploc.files.masks import read_mask, unusable
from caploc.measures.masks import outliers
from caploc.records import DataError
from caploc.stages import aggregate_scores, build_mask

RULE = {"sigma": 2.0, "dispersion": "std", "per_layer": False, "sign": "both"}
AGAINST = {"against": "others"}
IDS = {"model": "m", "task": "sums", "method": "cnl", "mask": "s2"}


@pytest.fixture
def build(make_job, write_shard, tmp_path):
    def call(n=30, others=(), **rule):
        scores = np.random.default_rng(0).normal(size=(n, 2, 40)).astype(np.float32)
        scores[:, 1, 7] += 30
        shard = write_shard("shard", scores)
        spec = {k: v for k, v in IDS.items() if k != "mask"} | {
            "n_splits": 2,
            "min_samples": 20,
            "seed": 0,
        }
        files = {"scores": tmp_path / "scores"}
        aggregate_scores.run(make_job("aggregate_scores", spec, {"shards": [shard]}, files))
        job = make_job(
            "build_mask",
            IDS | RULE | rule,
            {"scores": [files["scores"]], "others": list(others)},
            {"mask": tmp_path / "mask"},
        )
        build_mask.run(job)
        mean = scores.astype(np.float64).mean(axis=0).astype(np.float32) if n else None
        return tmp_path / "mask", mean

    return call


@pytest.mark.parametrize("change", [{}, {"per_layer": True}, {"sign": "positive"}, {"sigma": 1.0}])
def test_the_mask_is_that_of_the_mean_over_all_samples(build, change):
    path, mean = build(**change)
    np.testing.assert_array_equal(read_mask(path), outliers(mean, **(RULE | change)))
    assert read_mask(path)[1, 7]
    metadata = store.read_metadata(path)
    assert metadata["n_samples"] == 30
    assert {key: metadata[key] for key in RULE} == RULE | change
    assert metadata["origin"]["spec"] == IDS | RULE | change


def test_an_empty_mask_is_written(build):
    path, _ = build(sigma=1000.0)
    assert not read_mask(path).any()
    assert store.read_table(path).num_rows == 0


def test_not_computed_travels_on(build):
    path, _ = build(n=0)
    metadata = store.read_metadata(path)
    assert metadata["not_computed"] == unusable(metadata) == "n = 0, needs 20"
    assert metadata["n_samples"] == 0
    with pytest.raises(DataError, match="n = 0, needs 20"):
        read_mask(path)


def test_a_mask_of_few_samples_is_made_and_says_so(build):
    path, mean = build(n=3)
    np.testing.assert_array_equal(read_mask(path), outliers(mean, **RULE))
    metadata = store.read_metadata(path)
    assert metadata["too_few"] == unusable(metadata) == "n = 3, needs 20"
    assert metadata["n_samples"] == 3
    path, _ = build(n=20)
    assert unusable(store.read_metadata(path)) is None


def test_a_mask_against_other_tasks(build, make_job, write_shard, tmp_path):
    others, means = [], []
    for k, n in enumerate((4, 25, 0)):
        scores = np.random.default_rng(k + 1).normal(size=(n, 2, 40)).astype(np.float32)
        scores[:, 1, 7] -= 40 * (k == 1)
        path = tmp_path / f"other{k}"
        spec = {"model": "m", "task": f"t{k}", "method": "cnl"}
        spec |= {"n_splits": 2, "min_samples": 20, "seed": 0}
        shard = write_shard(f"shard{k}", scores, task=f"t{k}")
        job = make_job("aggregate_scores", spec, {"shards": [shard]}, {"scores": path})
        aggregate_scores.run(job)
        others.append(path)
        if n:
            means.append(scores.astype(np.float64).mean(axis=0))
    path, own = build(others=others, **AGAINST)
    wanted = np.zeros_like(own)
    for layer, j in np.ndindex(*own.shape):
        wanted[layer, j] = own[layer, j] - max(abs(m[layer, j]) for m in means)
    np.testing.assert_array_equal(read_mask(path), outliers(wanted, 2.0, sign="positive"))
    # The neuron that stands out alone is that of another task too; far below nobody is located.
    assert not read_mask(path)[1, 7] and read_mask(build()[0])[1, 7]
    path, _ = build(others=others[2:], **AGAINST)
    assert unusable(store.read_metadata(path)) == "no other task to compare with"
