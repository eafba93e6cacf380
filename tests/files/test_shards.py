"""Attribution files: every way in which they do not belong together is named."""

import numpy as np
import pyarrow as pa
import pytest

from caploc.files import shards as module
from caploc.files import store
from caploc.files.shards import completeness, dropped, n_batches, rows, scan
from caploc.records import DataError


def made(n_samples=4, n_layers=2, n_neurons=3, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n_samples, n_layers, n_neurons)).astype(np.float32)


def edited(path, edit, **metadata):
    """Rewrite a shard with its rows edited."""
    table, before = store.read_table(path), store.read_metadata(path)
    store.write_table(edit(table), path, before | metadata)
    return path


def replaced(column, row, value):
    def edit(table):
        values = table[column].to_pylist()
        values[row] = value
        kind = table.schema.field(column).type
        index = table.schema.get_field_index(column)
        return table.set_column(index, column, pa.array(values, kind))

    return edit


def test_rows_come_back_with_sample_and_layer(write_shard, monkeypatch):
    first, second = made(3), made(2, seed=1)
    paths = [write_shard("a", first), write_shard("b", second, ["x", "y"])]
    expected = np.concatenate([first, second])
    for batch_bytes in (1, 40, 1 << 23):
        monkeypatch.setattr(module, "_BATCH_BYTES", batch_bytes)
        found = np.full_like(expected, np.nan)
        count = 0
        shards = scan(paths)
        for scores, samples, layers in rows(shards):
            found[samples, layers] = scores
            count += 1
        np.testing.assert_array_equal(found, expected)
        assert count == n_batches(shards)


def test_completeness_is_the_mean_over_samples_of_all_files(write_shard):
    generator = np.random.default_rng(0)
    small = {
        name: generator.random((5, 2))
        for name in (
            "probability",
            "probability_zeroed",
            "gap_mean",
            "gap_max",
            "endpoint",
            "rest_mean",
            "rest_max",
        )
    }
    paths = [
        write_shard("a", made(3), small={k: v[:3] for k, v in small.items()}),
        write_shard("b", made(2), ["x", "y"], small={k: v[3:] for k, v in small.items()}),
    ]
    found = completeness(scan(paths))
    for layer in range(2):
        effect = [abs(small["probability"][i, layer] - small["probability_zeroed"][i, layer])
                  for i in range(5)]  # fmt: skip
        assert found["effect"][layer] == pytest.approx(sum(effect) / 5)
        assert found["gap_max"][layer] == max(small["gap_max"][:, layer])
        for name in ("gap_mean", "endpoint", "rest_mean", "probability"):
            assert found[name][layer] == pytest.approx(sum(small[name][:, layer]) / 5)
        ordered = sorted(small["rest_mean"][:, layer])
        assert found["rest_p50"][layer] == ordered[2]
        assert found["rest_p90"][layer] == pytest.approx(0.4 * ordered[3] + 0.6 * ordered[4])
        assert found["rest_max"][layer] == max(small["rest_max"][:, layer])


def test_a_file_without_samples_is_no_error(write_shard):
    empty = write_shard("empty", made(0), dropped=[["s9", "too long"]])
    full = write_shard("full", made(2))
    for order in ([empty, full], [full, empty]):
        shards = scan(order)
        assert sum(len(s) for s, _, _ in rows(shards)) == 4
        assert completeness(shards)["probability"] == [0.5, 0.5]
        assert dropped(shards) == 1


def test_a_sample_in_two_files_names_both(write_shard):
    paths = [write_shard("a", made()), write_shard("b", made(1), ["s2"])]
    with pytest.raises(DataError, match=r"/a and \S+/b both hold sample 's2'; .* delete both"):
        scan(paths)


def test_equal_ids_of_two_tasks_are_two_samples(write_shard):
    scan([write_shard("a", made()), write_shard("b", made(), task="words")])


def test_a_sample_twice_in_one_file(write_shard):
    with pytest.raises(DataError, match=r"/a: sample 's0' occurs twice; delete it"):
        scan([write_shard("a", made(2), ["s0", "s0"])])


def test_other_grids_name_both_files(write_shard):
    deep, wide = made(n_layers=4), made(n_neurons=5)
    one = write_shard("a", made(), ["a", "b", "c", "d"])
    with pytest.raises(DataError, match=r"/b has 4 layers, \S+/a has 2: was it made with another"):
        scan([one, write_shard("b", deep)])
    with pytest.raises(DataError, match=r"/c has 5 neurons in a layer, \S+/a has 3"):
        scan([one, write_shard("c", wide)])


@pytest.mark.parametrize(
    ("key", "value"),
    [("site", "pre"), ("rule", "left"), ("points", [0.5]), ("model", {"model": "other"})],
)
def test_other_settings_name_both_files(write_shard, key, value):
    one, two = write_shard("a", made()), write_shard("b", made(1), ["x"], **{key: value})
    with pytest.raises(DataError, match=rf"/b was made with {key} .*, \S+/a with"):
        scan([one, two])


def test_missing_and_misplaced_rows_name_the_sample(write_shard):
    path = edited(write_shard("a", made()), lambda t: t.slice(0, 7))
    with pytest.raises(DataError, match=r"/a: sample 's3' has layers \[0\] from row 6 on, expect"):
        scan([path])
    path = edited(write_shard("b", made()), replaced("layer", 3, 0))
    with pytest.raises(DataError, match=r"/b: sample 's1' has layers \[0, 0\] from row 2 on"):
        scan([path])
    path = edited(write_shard("c", made()), replaced("sample_id", 3, "s2"))
    with pytest.raises(DataError, match=r"/c: sample 's1' has layers \[0\] from row 2 on"):
        scan([path])


def test_fewer_samples_than_the_metadata_says(write_shard):
    with pytest.raises(DataError, match=r"/a: holds 4 samples, its metadata says 5; delete it"):
        scan([write_shard("a", made(), n_samples=5)])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_name_sample_and_layer(write_shard, value):
    scores = made()
    scores[2, 1, 0] = value
    path = write_shard("b", scores, ["p", "q", "r", "s"])
    shards = scan([write_shard("a", made()), path])
    with pytest.raises(DataError, match=r"/b: sample 'r', layer 1: a score is not a finite num"):
        list(rows(shards))


def test_missing_scores_are_refused(write_shard):
    path = edited(write_shard("a", made()), replaced("scores", 2, None))
    with pytest.raises(DataError, match="/a: a row has no scores"):
        list(rows(scan([path])))
    path = edited(write_shard("b", made()), replaced("scores", 3, [1.0, None, 2.0]))
    with pytest.raises(DataError, match="/b: sample 's1', layer 1: a score is not a finite"):
        list(rows(scan([path])))


def test_figures_that_are_no_numbers_name_sample_and_layer(write_shard):
    gap = np.full((4, 2), 0.1)
    gap[3, 0] = np.nan
    with pytest.raises(DataError, match="sample 's3', layer 0: gap_mean is not a finite number"):
        scan([write_shard("a", made(), small={"gap_mean": gap})])


def test_scores_of_another_type_are_refused(write_shard):
    def edit(table):
        index = table.schema.get_field_index("scores")
        return table.set_column(index, "scores", table["scores"].cast(pa.list_(pa.float32())))

    with pytest.raises(DataError, match=r"column 'scores' is list.* expected fixed_size_list"):
        scan([edited(write_shard("a", made()), edit)])


def test_damaged_files_name_the_remedy(write_shard, tmp_path):
    path = write_shard("a", made(200, 2, 400))
    content = path.read_bytes()
    cut = tmp_path / "cut"
    cut.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"/cut: damaged or truncated .* only this file is made"):
        scan([cut])
    flipped = bytearray(content)
    middle = len(content) // 2
    flipped[middle : middle + 64] = bytes(64)
    path.write_bytes(flipped)
    with pytest.raises(DataError, match=r"/a: damaged or truncated .* only this file is made anew"):
        list(rows(scan([path])))


def test_no_files_at_all():
    with pytest.raises(DataError, match="no attribution files"):
        scan([])
