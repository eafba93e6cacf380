"""Overlap between tasks."""

import numpy as np
import pyarrow as pa
import pytest

from caploc.experiments.agreement import measure_overlap
from caploc.files import store
from caploc.files.masks import write_mask
from caploc.records import DataError


@pytest.fixture
def mask(tmp_path):
    def write(task, places, shape=(2, 10)):
        scores = np.zeros(shape)
        for layer, neuron in places:
            scores[layer, neuron] = 1
        path = tmp_path / f"{task}.mask"
        spec = {"model": "m", "task": task, "method": "cnl", "mask": "s1"}
        located = write_mask(path, scores, {"sigma": 1.0}, {"origin": {"spec": spec}})
        assert located == len(places)
        return path

    return write


@pytest.fixture
def measure(make_job, tmp_path):
    def call(tasks, paths):
        spec = {"model": "m", "method": "cnl", "mask": "s1", "sigma": 1.0, "tasks": tasks}
        job = make_job("measure_overlap", spec, {"masks": paths}, {"part": tmp_path / "part"})
        measure_overlap.run(job)
        return store.read_table(tmp_path / "part").to_pylist()

    return call


def test_hand_computed_pairs_in_the_order_of_the_config(mask, measure):
    z = mask("z", [(0, 1), (0, 2), (1, 1), (1, 9)])
    a = mask("a", [(0, 1), (1, 1)])
    e = mask("e", [])
    rows = measure(["z", "a", "e"], [z, a, e])
    found = {(r["dataset"], r["reference"], r["metric"]): r["value"] for r in rows}
    assert found["z", "a", "overlap"] == 0.75
    assert found["z", "a", "iou"] == 0.5
    assert found["z", "a", "shared_count"] == 2
    assert found["z", "a", "chance_overlap_uniform"] == 6 / 40
    # (2 * 1 + 2 * 1) / 10 expected in common
    assert found["z", "a", "chance_overlap_layer"] == pytest.approx(0.4 * (1 / 4 + 1 / 2) / 2)
    assert found["z", "e", "overlap"] is None
    assert found["z", "e", "iou"] == 0
    assert found["a", "e", "shared_count"] == 0
    assert len(rows) == 3 * 5
    assert {r["comparison"] for r in rows} == {"datasets"}
    assert {r["n"] for r in rows if r["value"] is None} == {0}


def test_one_task_gives_an_empty_part(mask, measure):
    assert measure(["a"], [mask("a", [(0, 0)])]) == []


@pytest.mark.parametrize("key", ["not_computed", "too_few"])
def test_not_computed_is_said(mask, measure, tmp_path, key):
    origin = {"origin": {"spec": {"task": "few"}}, key: "n = 3, needs 20"}
    store.write_table(pa.table({"layer": [], "neuron": []}), tmp_path / "few", origin)
    rows = measure(["a", "few"], [mask("a", [(0, 0)]), tmp_path / "few"])
    assert [(r["metric"], r["value"], r["n"], r["interval"]) for r in rows] == [
        ("overlap", None, 0, "not computed: n = 3, needs 20")
    ]


def test_masks_of_other_tasks_or_grids_are_refused(mask, measure):
    a, b = mask("a", [(0, 0)]), mask("b", [(0, 0)], (3, 10))
    with pytest.raises(DataError, match=r"b.mask: is the mask of 'b', expected 'a'; delete it"):
        measure(["a", "b"], [b, a])
    with pytest.raises(DataError, match=r"masks of a and b have grids of \(2, 10\) and \(3, 10\)"):
        measure(["a", "b"], [a, b])
