"""What changes no byte, and what changes the last digits only.

Same settings, same bytes: tests/stages (training, attribution); after kills: tests/faults.
A GPU: docs/operations.md.
"""

import numpy as np
import pytest
from safetensors.numpy import load_file

from caploc.files import store
from caploc.stages import aggregate_scores, train_model

TRAIN = {
    "model": "toy", "seed": 0,
    "architecture": {
        "layers": 2, "hidden": 32, "ffn": 48, "heads": 4, "kv_heads": 2, "context": 64,
    },
    "train": {"steps": 10, "batch": 8, "learning_rate": 5e-3, "warmup": 5,
              "mixture": {"emotions": 1}},
}  # fmt: skip
MEANS = {"task": "sums", "n_splits": 3, "n_per_half": None, "curve": None, "min_samples": 2,
         "seed": 0}  # fmt: skip


def means(make_job, shards, path, threads=1):
    job = make_job("aggregate_scores", MEANS, {"shards": shards}, {"scores": path}, threads)
    aggregate_scores.run(job)
    return path


def test_means_do_not_depend_on_threads_nor_on_how_samples_are_cut(make_job, write_shard, tmp_path):
    """Sums are float64 in the order of the samples, wherever a file ends."""
    scores = np.random.default_rng(0).standard_t(3, (30, 2, 16)).astype(np.float32)
    ids = [f"s{i}" for i in range(30)]
    whole = [write_shard("whole.parquet", scores, ids)]
    one = means(make_job, whole, tmp_path / "one.parquet")
    two = means(make_job, whole, tmp_path / "two.parquet", threads=2)
    assert one.read_bytes() == two.read_bytes()
    wanted = store.read_table(one)
    for size in (7, 15, 29):
        parts = [
            write_shard(f"{size}-{i}.parquet", scores[i : i + size], ids[i : i + size])
            for i in range(0, 30, size)
        ]
        found = store.read_table(means(make_job, parts, tmp_path / f"{size}.parquet"))
        assert found.equals(wanted), size


@pytest.mark.parametrize("threads", [1, 2])
def test_training_is_the_same_with_the_same_threads(make_job, tmp_path, threads):
    first, second = (train(make_job, tmp_path / name, threads) for name in "ab")
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])


def test_another_number_of_threads_changes_rounding_only(make_job, tmp_path):
    """`--cores 1` scales the two threads of train_model down, and a batch is summed in one part."""
    one, two = (train(make_job, tmp_path / str(n), n) for n in (1, 2))
    for name, value in one.items():
        np.testing.assert_allclose(value, two[name], atol=2e-3)


def train(make_job, folder, threads):
    outputs = {name: folder / f"{name}.parquet" for name in ("loss", "prompts")}
    outputs = {"manifest": folder / "manifest.json"} | outputs
    train_model.run(make_job("train_model", TRAIN, {}, outputs, threads))
    return load_file(folder / "hf/model.safetensors")
