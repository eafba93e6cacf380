"""Files of located sets come back as they were written, or are refused."""

import numpy as np
import polars as pl
import pytest

from caploc.files import tables
from caploc.files.located import LOCATED, read_located, stream_scores
from caploc.records import DataError


def write(path, rows, **metadata):
    facts = {"unit": "ffn neuron", "per_layer": [3, 3], "dropped": []} | metadata
    tables.write_part(pl.DataFrame(rows, LOCATED), path, {}, **facts)
    return path


def row(fact="a", prompt=0, rule="top", units=(0,), scores=None):
    return {
        "fact_id": fact, "prompt_id": prompt, "rule": rule, "units": list(units), "scores": scores,
    }  # fmt: skip


def test_shards_are_read_as_one(tmp_path):
    first = write(tmp_path / "0", [row(scores=[0.5] * 6), row(rule="wide", units=(1, 4))])
    second = write(tmp_path / "1", [row("b", 1, units=())], dropped=[["b", 0, "too long"]])
    # a shard where nothing could be located does not know the grid
    third = write(tmp_path / "2", [], per_layer=[], dropped=[["c", 0, "too long"]])
    found = read_located([third, first, second])
    assert found.unit == "ffn neuron" and found.rules == ["top", "wide"]
    assert found.grid("wide", "a", 0).tolist() == [False, True, False, False, True, False]
    assert not found.grid("top", "b", 1).any()
    assert found.grid("top", "b", 0) is None
    assert found.dropped == [("c", 0, "too long"), ("b", 0, "too long")]
    ((fact, prompt, scores),) = stream_scores([first, second, third])
    assert (fact, prompt) == ("a", 0)
    np.testing.assert_array_equal(scores, np.full(6, 0.5, np.float32))


def test_shards_of_other_grids_are_refused(tmp_path):
    first = write(tmp_path / "0", [row()])
    other = write(tmp_path / "1", [row("b")], per_layer=[4, 4])
    with pytest.raises(DataError, match="its grid differs"):
        read_located([first, other])


@pytest.mark.parametrize("units", [(0, 6), (-1, 2)])
def test_units_outside_the_grid_are_refused(tmp_path, units):
    with pytest.raises(DataError, match="names a unit outside the grid of 6"):
        read_located([write(tmp_path / "0", [row(units=units)])])
