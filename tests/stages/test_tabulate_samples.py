"""Kept and dropped samples."""

import numpy as np
import pyarrow as pa

from caploc.files import store
from caploc.stages import tabulate_samples


def prepared(path, task, n, dropped, stage="prepare_samples"):
    origin = {"stage": stage, "spec": {"task": task}}
    path.parent.mkdir(exist_ok=True)
    store.write_table(
        pa.table({"sample_id": pa.array([], pa.string())}),
        path,
        {"origin": origin, "dropped": dropped, "n": n, "wanted": n},
    )
    return path


def origin(method):
    spec = {"task": "sums", "model": "m", "method_id": method}
    return {"stage": "attribute_shard", "spec": spec}


def test_reasons_are_counted_once(make_job, tmp_path, write_shard):
    samples = [
        prepared(tmp_path / "sums" / "locate.parquet", "sums", 8, {"no answer": 2, "twice": 1}),
        prepared(tmp_path / "sums" / "test.parquet", "sums", 4, {}),
        prepared(tmp_path / "x" / "locate.parquet", "sums", 8, {}, "shuffle_answers"),
    ]
    scores = np.zeros((3, 1, 2), dtype=np.float32)
    lost = [["q1", "too long"], ["q2", "too long"]]
    shards = [
        write_shard("a0", scores, ["a", "b", "c"], origin=origin("cnl"), dropped=lost),
        write_shard("a1", scores, ["d", "e", "f"], origin=origin("cnl"), dropped=[["q3", "odd"]]),
        write_shard("k0", scores, ["a", "b", "c"], origin=origin("kn"), dropped=lost),
        write_shard("k1", scores, ["d", "e", "f"], origin=origin("kn"), dropped=[["q3", "odd"]]),
    ]
    outputs = {kind: tmp_path / f"samples.{kind}" for kind in ("csv", "parquet")}
    inputs = {"samples": samples, "shards": shards}
    tabulate_samples.run(make_job("tabulate_samples", {}, inputs, outputs))
    assert outputs["csv"].read_text().splitlines() == [
        "model,dataset,split,reason,metric,value",
        ",sums,locate,,kept,8",
        ",sums,locate,no answer,dropped,2",
        ",sums,locate,twice,dropped,1",
        ",sums,test,,kept,4",
        ",sums.shuffled,locate,,kept,8",
        "m,sums,locate,,kept,6",
        "m,sums,locate,odd,dropped,1",
        "m,sums,locate,too long,dropped,2",
    ]
