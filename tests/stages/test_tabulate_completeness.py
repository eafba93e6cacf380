"""Integration error of every layer."""

import numpy as np
import pytest

from caploc.files import store
from caploc.stages import aggregate_scores, tabulate_completeness


def test_every_layer_and_figure(make_job, write_shard, tmp_path):
    gap = np.tile([0.1, 0.2], (25, 1))
    paths = []
    for task, n in (("words", 25), ("sums", 25), ("few", 2), ("none", 0)):
        scores = np.ones((n, 2, 3), dtype=np.float32)
        shard = write_shard(f"{task}.shard", scores, task=task, small={"gap_mean": gap[:n]})
        spec = {"model": "m", "task": task, "method": "cnl"}
        spec |= {"n_splits": 2, "min_samples": 20, "seed": 0}
        paths.append(tmp_path / task)
        files = {"scores": paths[-1]}
        aggregate_scores.run(make_job("aggregate_scores", spec, {"shards": [shard]}, files))
    outputs = {kind: tmp_path / f"completeness.{kind}" for kind in ("csv", "parquet")}
    tabulate_completeness.run(make_job("tabulate_completeness", {}, {"scores": paths}, outputs))
    table = store.read_table(outputs["parquet"])
    assert table.schema.names == ["model", "dataset", "method", "layer", "metric", "value", "n"]
    found = {(r["dataset"], r["layer"], r["metric"]): (r["value"], r["n"])
             for r in table.to_pylist()}  # fmt: skip
    assert len(found) == table.num_rows == 3 * 2 * 9
    for task in ("words", "sums"):
        assert found[task, 0, "gap_mean"] == (pytest.approx(0.1), 25)
        assert found[task, 1, "gap_max"] == (0.02, 25)
        assert found[task, 1, "effect"] == (0.25, 25)
        assert found[task, 0, "probability"] == (0.5, 25)
    assert found["few", 1, "gap_mean"] == (pytest.approx(0.2), 2)  # too few for masks, yet measured
