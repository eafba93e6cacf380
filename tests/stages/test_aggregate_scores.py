"""Mean scores of one task, from files to file."""

from itertools import pairwise

import numpy as np
import pytest

from caploc.files import store
from caploc.files.scores import read_scores
from caploc.records import DataError
from caploc.stages import aggregate_scores

N = 47


@pytest.fixture
def scores():
    return np.random.default_rng(0).normal(size=(N, 3, 6)).astype(np.float32)


@pytest.fixture
def aggregate(make_job, tmp_path):
    def call(shards, name="scores", threads=1, **changes):
        spec = {
            "model": "m",
            "task": "sums",
            "method": "cnl",
            "n_splits": 4,
            "n_per_half": None,
            "curve": None,
            "min_samples": 20,
            "seed": 0,
        }
        path = tmp_path / name
        job = make_job(
            "aggregate_scores", spec | changes, {"shards": shards}, {"scores": path}, threads
        )
        aggregate_scores.run(job)
        return path

    return call


def test_halves_are_means_of_disjoint_samples(write_shard, aggregate, scores):
    """The members are recovered from the means alone: samples are powers of two."""
    n = 24
    powers = np.zeros((n, 1, 2), dtype=np.float32)
    powers[:, 0, 0] = 2.0 ** np.arange(n)
    found = read_scores(aggregate([write_shard("a", powers)]))
    assert found.curve == [1, 2, 5, 10, 12]
    for split in range(4):
        members = {}
        for half in "ab":
            previous = 0
            for size in found.curve:
                total = found.halves[split, half, size][0, 0].astype(np.float64) * size
                bits = round(total)
                # float32 keeps 24 digits: the sum of 24 powers of two is exact, the mean nearly so
                assert abs(total - bits) < 1
                assert bits.bit_count() == size
                assert bits & previous == previous
                previous = bits
            members[half] = previous
        assert members["a"] & members["b"] == 0
        assert members["a"] | members["b"] == 2**n - 1


def test_every_mean_equals_a_slow_loop_over_recovered_members(write_shard, aggregate, scores):
    """A second grid with the same ids shares the members, whose sums a plain loop gives."""
    ids = [f"q{i}" for i in range(20)]
    powers = np.zeros((20, 1, 1), dtype=np.float32)
    powers[:, 0, 0] = 2.0 ** np.arange(20)
    marks = read_scores(aggregate([write_shard("p", powers, ids)], "marks"))
    found = read_scores(aggregate([write_shard("a", scores[:20], ids)]))
    assert len(found.halves) == len(marks.halves) == 4 * 2 * 4
    for key, mean in found.halves.items():
        bits = round(float(marks.halves[key][0, 0]) * key[2])
        members = [i for i in range(20) if bits >> i & 1]
        for layer in range(3):
            for neuron in range(6):
                expected = sum(float(scores[i, layer, neuron]) for i in members) / len(members)
                assert mean[layer, neuron] == pytest.approx(expected, rel=1e-6, abs=1e-9)
    np.testing.assert_allclose(
        found.whole, scores[:20].astype(np.float64).mean(axis=0), rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("borders", [(12, 24, 36), (1, 46), (0, 47)])
def test_files_and_threads_change_no_number(write_shard, aggregate, scores, borders, threads):
    ids = [f"s{i}" for i in range(N)]
    cuts = [0, *borders, N]
    parts = [
        write_shard(f"part{i}", scores[a:b], ids[a:b]) for i, (a, b) in enumerate(pairwise(cuts))
    ]
    one = aggregate([write_shard("one", scores, ids)], "x")
    many = aggregate(parts, "y", threads)
    assert store.read_table(one).equals(store.read_table(many))
    first, second = store.read_metadata(one), store.read_metadata(many)
    assert first["completeness"]["effect"] == pytest.approx(second["completeness"]["effect"])


def test_same_input_same_bytes(write_shard, aggregate, scores):
    shard = write_shard("a", scores)
    assert aggregate([shard], "x").read_bytes() == aggregate([shard], "y", 2).read_bytes()
    other = aggregate([shard], "z", seed=1)
    assert not store.read_table(other).equals(store.read_table(aggregate([shard], "x")))


def test_batches_that_end_inside_a_sample(write_shard, aggregate, scores, monkeypatch):
    whole = aggregate([write_shard("a", scores)], "x")
    monkeypatch.setattr("caploc.files.shards._BATCH_BYTES", 4 * 6 * 4)
    assert store.read_table(aggregate([write_shard("b", scores)], "y", 2)).equals(
        store.read_table(whole)
    )


def test_metadata_says_what_was_averaged(write_shard, aggregate, scores):
    shard = write_shard("a", scores, dropped=[["bad", "too long"]])
    found = store.read_metadata(aggregate([shard]))
    assert found["n_samples"] == N
    assert found["n_per_half"] == 23
    assert found["curve"] == [1, 2, 5, 10, 20, 23]
    assert (found["n_layers"], found["n_neurons"], found["n_splits"]) == (3, 6, 4)
    assert found["dropped"] == 1
    assert found["site"] == "post"
    assert found["completeness"] == {
        "gap_mean": pytest.approx([0.01] * 3),
        "gap_max": [0.02] * 3,
        "endpoint": pytest.approx([0.007] * 3),
        "rest_mean": pytest.approx([0.003] * 3),
        "rest_max": [0.013] * 3,
        "rest_p50": pytest.approx([0.003] * 3),
        "rest_p90": pytest.approx([0.003] * 3),
        "effect": [0.25] * 3,
        "probability": [0.5] * 3,
    }


def test_a_wanted_half_and_curve_are_kept_to_what_the_samples_suffice_for(
    write_shard, aggregate, scores
):
    shard = write_shard("a", scores)
    assert read_scores(aggregate([shard], n_per_half=10)).curve == [1, 2, 5, 10]
    assert read_scores(aggregate([shard], n_per_half=500)).curve[-1] == 23
    assert read_scores(aggregate([shard], n_per_half=10, curve=[3, 7, 50])).curve == [3, 7, 10]
    with pytest.raises(DataError, match="curve has 0"):
        aggregate([shard], curve=[0, 1])


@pytest.mark.parametrize("n", [1, 3, 19])
def test_too_few_samples_have_a_mean_and_no_halves(write_shard, aggregate, scores, n):
    path = aggregate([write_shard("a", scores[:n])])
    metadata = store.read_metadata(path)
    assert metadata["too_few"] == f"n = {n}, needs 20"
    assert "not_computed" not in metadata
    found = read_scores(path)
    np.testing.assert_allclose(found.whole, scores[:n].astype(np.float64).mean(0), rtol=1e-6)
    assert (found.halves, found.curve, found.n_splits) == ({}, [], 0)
    assert read_scores(path, halves=False).metadata["n_samples"] == n


def test_no_sample_is_reported_not_an_error(write_shard, aggregate, scores):
    path = aggregate([write_shard("a", scores[:0])])
    metadata = store.read_metadata(path)
    assert metadata["not_computed"] == "n = 0, needs 20"
    assert "too_few" not in metadata
    assert store.read_table(path).num_rows == 0


def test_damage_is_reported_and_leaves_no_file(write_shard, aggregate, scores, tmp_path):
    scores[30, 1, 2] = np.nan
    with pytest.raises(DataError, match=r"/a: sample 's30', layer 1"):
        aggregate([write_shard("a", scores)], threads=2)
    assert not list(tmp_path.glob("*scores*"))
