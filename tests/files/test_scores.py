"""The scores file: written and read, and what is refused."""

import numpy as np
import pytest

from caploc.files import store
from caploc.files.scores import read_scores, write_not_computed, write_scores
from caploc.measures.means import MeanScores, assign_halves
from caploc.records import DataError


@pytest.fixture
def means():
    scores = np.random.default_rng(0).normal(size=(11, 3, 5)).astype(np.float32)
    halves = assign_halves([f"s{i}" for i in range(11)], 2, (1, 2, 5), 0)
    means = MeanScores(halves, 3, 5)
    samples, layers = np.divmod(np.arange(33), 3)
    means.add(scores.reshape(33, 5), samples, layers)
    return means


def test_every_mean_comes_back(means, tmp_path):
    path = tmp_path / "s.parquet"
    write_scores(path, means, {"origin": {"stage": "x"}})
    found = read_scores(path)
    np.testing.assert_array_equal(found.whole, means.whole())
    assert (found.curve, found.n_splits) == ([1, 2, 5], 2)
    assert len(found.halves) == 2 * 2 * 3
    for split in range(2):
        for index, half in enumerate("ab"):
            for n, mean in means.half(split, index):
                np.testing.assert_array_equal(found.halves[split, half, n], mean)
    assert found.metadata["n_samples"] == 11
    assert found.metadata["n_per_half"] == 5
    alone = read_scores(path, halves=False)
    np.testing.assert_array_equal(alone.whole, means.whole())
    assert alone.halves == {}


def test_the_columns_are_those_of_the_contract(means, tmp_path):
    write_scores(tmp_path / "s", means, {})
    table = store.read_table(tmp_path / "s")
    assert table.schema.names == ["group", "split", "half", "n", "layer", "mean"]
    first, second = table["group"].to_pylist()[:3], table["group"].to_pylist()[3:]
    assert (first, set(second)) == (["all"] * 3, {"half"})


def test_not_computed_is_said_with_its_reason(tmp_path):
    write_not_computed(tmp_path / "s", 5, "n = 3, needs 20", {"n_samples": 3})
    with pytest.raises(DataError, match="not computed: n = 3, needs 20; give the task more"):
        read_scores(tmp_path / "s")


def rewritten(path, edit, **metadata):
    table = edit(store.read_table(path))
    store.write_table(table, path, store.read_metadata(path) | metadata)
    return path


def test_missing_means_and_numbers_are_refused(means, tmp_path):
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        write_scores(path, means, {})
    with pytest.raises(DataError, match="/a: its 38 rows are not the 13 means of 3 layers"):
        read_scores(rewritten(paths[0], lambda t: t.slice(0, 38)))
    with pytest.raises(DataError, match="/b: its 39 rows are not the 9 means of 3 layers"):
        read_scores(rewritten(paths[1], lambda t: t, curve=[1, 2]))
    means._sums[0, 0, 0] = np.nan
    write_scores(paths[2], means, {})
    with pytest.raises(DataError, match="/c: a mean is not a finite number"):
        read_scores(paths[2], halves=False)


def test_other_files_are_refused(tmp_path, means):
    write_scores(tmp_path / "s", means, {})
    table = store.read_table(tmp_path / "s")
    store.write_table(table, tmp_path / "other", {})
    with pytest.raises(DataError, match="is no scores file"):
        read_scores(tmp_path / "other")
