"""Located neurons and who shares them."""

import numpy as np
import pyarrow as pa
import pytest

from caploc.files import store
from caploc.files.masks import write_mask
from caploc.stages import tabulate_neurons

COLUMNS = [
    "model", "dataset", "method", "mask", "sigma",
    "layer", "neuron", "shared_by", "metric", "value",
]  # fmt: skip


@pytest.fixture
def tabulate(make_job, tmp_path):
    def call(masks, name="neurons"):
        paths = []
        for index, (ids, places) in enumerate(masks):
            scores = np.zeros((2, 50))
            for layer, neuron in places:
                scores[layer, neuron] = 1 + layer + neuron / 100
            spec = dict(zip(("model", "task", "method", "mask"), ids, strict=True))
            paths.append(tmp_path / f"{name}{index}")
            write_mask(paths[-1], scores, {"sigma": 1.0}, {"origin": {"spec": spec}})
        outputs = {kind: tmp_path / f"{name}.{kind}" for kind in ("csv", "parquet")}
        tabulate_neurons.run(make_job("tabulate_neurons", {}, {"masks": paths}, outputs))
        return outputs

    return call


A = ("m", "a", "cnl", "s1"), [(0, 1), (0, 2), (1, 2)]
B = ("m", "b", "cnl", "s1"), [(0, 1), (1, 2), (1, 9)]
C = ("m", "c", "cnl", "s1"), [(0, 1)]
OTHERS = [
    (("m2", "d", "cnl", "s1"), [(0, 1)]),
    (("m", "d", "kn", "s1"), [(0, 1)]),
    (("m", "d", "cnl", "s3"), [(0, 1)]),
    (("m", "e", "cnl", "s1"), []),
]


def test_sharing_is_counted_within_model_method_and_mask(tabulate):
    table = store.read_table(tabulate([A, B, C, *OTHERS])["parquet"])
    assert table.schema.names == COLUMNS
    rows = table.to_pylist()
    shared = {(r["model"], r["dataset"], r["method"], r["mask"], r["layer"], r["neuron"]):
              r["shared_by"] for r in rows}  # fmt: skip
    a, b, c = (("m", task, "cnl", "s1") for task in "abc")
    assert shared == {
        (*a, 0, 1): "b;c",
        (*a, 0, 2): "",
        (*a, 1, 2): "b",
        (*b, 0, 1): "a;c",
        (*b, 1, 2): "a",
        (*b, 1, 9): "",
        (*c, 0, 1): "a;b",
        ("m2", "d", "cnl", "s1", 0, 1): "",
        ("m", "d", "kn", "s1", 0, 1): "",
        ("m", "d", "cnl", "s3", 0, 1): "",
    }
    assert {r["value"] for r in rows if r["metric"] == "score" and r["neuron"] == 9} == {2.09}
    assert {r["metric"] for r in rows} == {"score", "z"}
    assert {r["sigma"] for r in rows} == {1.0}


def test_the_order_of_masks_changes_only_the_order_of_names(tabulate):
    one, other = tabulate([A, B], "x"), tabulate([B, A], "y")
    assert one["csv"].read_bytes() == other["csv"].read_bytes()


def test_empty_and_not_computed_masks_have_no_rows(tabulate, make_job, tmp_path):
    assert store.read_table(tabulate([OTHERS[-1]])["parquet"]).num_rows == 0
    facts = {"origin": {"spec": {"task": "few"}}, "not_computed": "n = 3, needs 20"}
    store.write_table(pa.table({"layer": [], "neuron": []}), tmp_path / "few", facts)
    outputs = {kind: tmp_path / f"none.{kind}" for kind in ("csv", "parquet")}
    job = make_job("tabulate_neurons", {}, {"masks": [tmp_path / "few"]}, outputs)
    tabulate_neurons.run(job)
    assert outputs["csv"].read_text() == ",".join(COLUMNS) + "\n"
