"""The mixture of all tasks."""

import numpy as np
import pytest

from caploc.files import store
from caploc.files.scores import read_scores
from caploc.stages import aggregate_mixture


@pytest.fixture
def mix(make_job, tmp_path):
    def call(shards, name="mixture", **changes):
        spec = {
            "model": "m",
            "task": "mixture",
            "method": "cnl",
            "n_splits": 2,
            "n_per_half": None,
            "curve": None,
            "min_samples": 4,
            "seed": 0,
            "tasks": ["x", "y", "z"],
        }
        path = tmp_path / name
        aggregate_mixture.run(
            make_job("aggregate_mixture", spec | changes, {"shards": shards}, {"scores": path})
        )
        return path

    return call


def constant(value, n):
    return np.full((n, 2, 3), value, dtype=np.float32)


def test_equal_numbers_of_every_task_and_as_many_as_one_task(write_shard, mix):
    shards = [
        write_shard("x", constant(1, 20), task="x"),
        write_shard("y", constant(100, 20), task="y"),
        write_shard("z", constant(10_000, 30), task="z"),
    ]
    path = mix(shards)
    metadata = store.read_metadata(path)
    assert metadata["tasks"] == {"x": 7, "y": 7, "z": 6}
    assert metadata["n_samples"] == 20
    found = read_scores(path)
    assert found.whole[0, 0] == pytest.approx((7 + 7 * 100 + 6 * 10_000) / 20)
    assert found.curve[-1] == 10


def test_shards_of_a_task_count_together(write_shard, mix):
    shards = [
        write_shard("x1", constant(1, 6), task="x"),
        write_shard("x2", constant(1, 6), [f"t{i}" for i in range(6)], task="x"),
        write_shard("y", constant(3, 12), task="y"),
    ]
    assert store.read_metadata(mix(shards))["tasks"] == {"x": 6, "y": 6}


def test_the_draw_is_random_and_seeded(write_shard, mix):
    powers = np.zeros((20, 1, 1), dtype=np.float32)
    powers[:, 0, 0] = 2.0 ** np.arange(20)
    shards = [
        write_shard("x", powers, task="x"),
        write_shard("y", np.zeros_like(powers), task="y"),
    ]

    def members(name, seed):
        bits = round(float(read_scores(mix(shards, name, seed=seed)).whole[0, 0]) * 20)
        return {i for i in range(20) if bits >> i & 1}

    one, again, other = members("a", 0), members("b", 0), members("c", 1)
    assert len(one) == 10
    assert one == again != other
    assert one != set(range(10))


def test_small_tasks_are_left_out_and_named(write_shard, mix):
    shards = [
        write_shard("x", constant(1, 10), task="x"),
        write_shard("y", constant(1, 3), task="y"),
        write_shard("z", constant(1, 10), task="z"),
    ]
    metadata = store.read_metadata(mix(shards))
    assert metadata["left_out"] == {"y": 3}
    assert metadata["tasks"] == {"x": 5, "z": 5}


def test_one_task_is_no_mixture(write_shard, mix):
    path = mix([write_shard("x", constant(1, 30), task="x")])
    found = store.read_metadata(path)["not_computed"]
    assert found == "tasks with enough samples = 1, needs 2"
