"""The mask rule against hand-computed values and a slow loop; mask files."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from caploc.files import store
from caploc.files.masks import read_mask, write_mask
from caploc.measures.masks import outliers, standard
from caploc.records import DataError

scores = arrays(
    np.float64, (3, 6), elements=st.floats(-1, 1, allow_subnormal=False).map(lambda x: round(x, 3))
)
sigmas = st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0])


def slow(grid, sigma, dispersion, per_layer, sign):
    """One neuron after the other, in plain floats."""
    everything = [float(x) for row in grid for x in row]
    mask = np.zeros(grid.shape, dtype=bool)
    for layer in range(grid.shape[0]):
        basis = [float(x) for x in grid[layer]] if per_layer else everything
        mean = math.fsum(basis) / len(basis)
        variance = math.fsum((x - mean) ** 2 for x in basis) / len(basis)
        spread = variance if dispersion == "var" else math.sqrt(variance)
        for neuron in range(grid.shape[1]):
            distance = float(grid[layer, neuron]) - mean
            if sign == "both":
                distance = abs(distance)
            elif sign == "negative":
                distance = -distance
            mask[layer, neuron] = distance > sigma * spread
    return mask


def near_threshold(grid, sigma, dispersion, per_layer):
    basis = standard(grid, dispersion, per_layer)
    distance = np.abs(grid - basis.mean[:, None])
    return np.abs(distance - sigma * basis.dispersion[:, None]).min() < 1e-12


def test_hand_computed_values():
    # nine zeros and a ten: mean 1, population variance (9 * 1 + 81) / 10 = 9, std 3, distance 9
    grid = np.zeros((2, 5))
    grid[1, 2] = 10
    assert outliers(grid, 2.9).sum() == 1
    assert outliers(grid, 2.9)[1, 2]
    assert outliers(grid, 3.0).sum() == 0  # strictly greater: 9 > 9 is false
    assert outliers(grid, 0.9, "var").sum() == 1  # 9 > 8.1
    assert outliers(grid, 1.1, "var").sum() == 0  # 9 > 9.9 is false
    assert outliers(grid, 2.9, sign="negative").sum() == 0
    assert outliers(-grid, 2.9, sign="negative")[1, 2]
    # in layer 1 alone: mean 2, variance (4 * 4 + 64) / 5 = 16, std 4, distance 8
    assert outliers(grid, 1.9, per_layer=True).sum() == 1
    assert outliers(grid, 2.1, per_layer=True).sum() == 0


@pytest.mark.parametrize("per_layer", [False, True])
@pytest.mark.parametrize("sign", ["both", "positive", "negative"])
@pytest.mark.parametrize("dispersion", ["std", "var"])
@given(grid=scores, sigma=sigmas)
def test_equal_to_the_slow_loop(dispersion, sign, per_layer, grid, sigma):
    if near_threshold(grid, sigma, dispersion, per_layer):
        return
    found = outliers(grid, sigma, dispersion, per_layer, sign)
    np.testing.assert_array_equal(found, slow(grid, sigma, dispersion, per_layer, sign))


@given(grid=scores, sigma=sigmas)
def test_both_sides_are_the_union_and_a_larger_sigma_locates_less(grid, sigma):
    both = outliers(grid, sigma)
    high, low = outliers(grid, sigma, sign="positive"), outliers(grid, sigma, sign="negative")
    np.testing.assert_array_equal(both, high | low)
    assert not (high & low).any()
    assert not (outliers(grid, sigma * 2) & ~both).any()


@given(grid=scores, sigma=st.floats(1.0, 6.0))
def test_chebyshev_bounds_the_share(grid, sigma):
    """At most 1 / sigma^2 of any numbers lie beyond sigma standard deviations."""
    assert outliers(grid, sigma).mean() <= 1 / sigma**2 + 1e-9


@given(grid=scores, sigma=sigmas, shift=st.integers(-4, 4), scale=st.sampled_from([0.25, 8.0]))
def test_std_ignores_shift_and_scale_where_var_does_not(grid, sigma, shift, scale):
    moved = grid * scale + shift
    if not near_threshold(grid, sigma, "std", False) and not near_threshold(
        moved, sigma, "std", False
    ):
        np.testing.assert_array_equal(outliers(grid, sigma), outliers(moved, sigma))


def test_the_printed_rule_passes_nearly_every_neuron_at_the_scale_of_scores():
    grid = np.random.default_rng(0).normal(scale=1e-5, size=(4, 500))
    assert outliers(grid, 6, "var").mean() > 0.99
    assert outliers(grid, 6).mean() < 0.001


def test_equal_scores_locate_nothing():
    assert not outliers(np.full((2, 3), 0.1, dtype=np.float32), 1).any()


@pytest.mark.parametrize(
    ("grid", "settings", "message"),
    [
        (np.zeros((2, 2)), {"sigma": 0}, "sigma is 0"),
        (np.zeros((2, 2)), {"sigma": float("nan")}, "sigma is nan"),
        (np.zeros((2, 2)), {"sigma": 1, "sign": "up"}, "sign 'up'"),
        (np.zeros((2, 2)), {"sigma": 1, "dispersion": "mad"}, "dispersion 'mad'"),
        (np.zeros(4), {"sigma": 1}, r"shape \(4,\)"),
        (np.zeros((0, 4)), {"sigma": 1}, r"shape \(0, 4\)"),
        (np.array([[np.nan, 0]]), {"sigma": 1}, "not finite"),
    ],
)
def test_bad_arguments_are_refused(grid, settings, message):
    with pytest.raises(ValueError, match=message):
        outliers(grid, **settings)


RULE = {"sigma": 2.0, "dispersion": "std", "per_layer": False, "sign": "both"}


def made(n=30):
    grid = np.random.default_rng(3).normal(size=(3, n)).astype(np.float32)
    grid[1, 4] = 9
    return grid


@pytest.mark.parametrize("per_layer", [False, True])
def test_a_mask_file_gives_the_mask_back(tmp_path, per_layer):
    path, rule = tmp_path / "m.parquet", RULE | {"per_layer": per_layer}
    n_located = write_mask(path, made(), rule, {"n_samples": 7})
    mask = read_mask(path)
    np.testing.assert_array_equal(mask, outliers(made(), **rule))
    assert mask.sum() == n_located > 0
    table, metadata = store.read_table(path), store.read_metadata(path)
    assert metadata["n_samples"] == 7
    assert (metadata["n_layers"], metadata["n_neurons"]) == mask.shape
    places = list(zip(table["layer"].to_pylist(), table["neuron"].to_pylist(), strict=True))
    assert places == sorted(places)
    exact = made().astype(np.float64)
    for (layer, neuron), score, z in zip(
        places, table["score"].to_pylist(), table["z"].to_pylist(), strict=True
    ):
        basis = exact[layer] if per_layer else exact
        assert score == exact[layer, neuron]
        assert z == pytest.approx((score - basis.mean()) / basis.std())
        assert abs(z) > 2
    means = [row.mean() for row in exact] if per_layer else exact.mean()
    assert metadata["mean"] == pytest.approx(means)
    spreads = np.atleast_1d(metadata["dispersion_value"])
    assert np.atleast_1d(metadata["threshold"]) == pytest.approx(2 * spreads)


def test_an_empty_mask_is_a_result(tmp_path):
    path = tmp_path / "m.parquet"
    assert write_mask(path, np.zeros((2, 5)), RULE, {}) == 0
    mask = read_mask(path)
    assert mask.shape == (2, 5)
    assert not mask.any()


def test_equal_masks_give_equal_bytes(tmp_path):
    for name in "ab":
        write_mask(tmp_path / name, made(), RULE, {"origin": {"stage": "x"}})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def written(path, layers, neurons, **metadata):
    table = pa.table({"layer": pa.array(layers, pa.int16()), "neuron": pa.array(neurons)})
    store.write_table(table, path, metadata)
    return path


def test_bad_mask_files_are_refused_with_the_reason(tmp_path):
    sizes = {"n_layers": 2, "n_neurons": 4}
    with pytest.raises(DataError, match=r"a: row 1 names layer 2, neuron 0, but the grid has 2"):
        read_mask(written(tmp_path / "a", [0, 2], [0, 0], **sizes))
    with pytest.raises(DataError, match="row 0 names layer 0, neuron -1"):
        read_mask(written(tmp_path / "b", [0], [-1], **sizes))
    with pytest.raises(DataError, match="lists a neuron twice"):
        read_mask(written(tmp_path / "c", [1, 1], [3, 3], **sizes))
    with pytest.raises(DataError, match=r"is no mask file \(no 'n_layers'"):
        read_mask(written(tmp_path / "d", [1], [3]))
    with pytest.raises(DataError, match="not computed: n = 3, needs 20; give the task more"):
        read_mask(written(tmp_path / "e", [], [], not_computed="n = 3, needs 20"))
    with pytest.raises(DataError, match="no such file"):
        read_mask(tmp_path / "f")
