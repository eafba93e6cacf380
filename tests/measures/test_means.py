"""Halves and running means against slow, obvious float64 loops."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caploc.measures.means import MeanScores, assign_halves, default_curve, hash_order

N_LAYERS, N_NEURONS = 3, 7


def slow_mean(scores: np.ndarray, members: list[int]) -> np.ndarray:
    """Mean by three nested loops in float64."""
    mean = np.zeros(scores.shape[1:])
    for layer in range(scores.shape[1]):
        for neuron in range(scores.shape[2]):
            total = 0.0
            for index in members:
                total += float(scores[index, layer, neuron])
            mean[layer, neuron] = total / len(members)
    return mean


def made_scores(n_samples: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n_samples, N_LAYERS, N_NEURONS)).astype(np.float32)


def added(halves, scores, threads=1, batch=5):
    means = MeanScores(halves, N_LAYERS, N_NEURONS, threads)
    flat = scores.reshape(-1, N_NEURONS)
    samples, layers = np.divmod(np.arange(len(flat)), N_LAYERS)
    for first in range(0, len(flat), batch):
        rows = slice(first, first + batch)
        means.add(flat[rows], samples[rows], layers[rows])
    return means


@pytest.mark.parametrize(
    ("n", "curve"),
    [
        (1, (1,)),
        (2, (1, 2)),
        (7, (1, 2, 5, 7)),
        (10, (1, 2, 5, 10)),
        (500, (1, 2, 5, 10, 20, 50, 100, 200, 500)),
        (501, (1, 2, 5, 10, 20, 50, 100, 200, 500, 501)),
    ],
)
def test_the_curve_is_1_2_5_and_ends_with_the_half(n, curve):
    assert default_curve(n) == curve


def test_a_curve_of_nothing_is_refused():
    with pytest.raises(ValueError, match="n_per_half is 0"):
        default_curve(0)


@given(st.integers(2, 40), st.integers(1, 4), st.integers(0, 2**31))
def test_halves_are_disjoint_nested_and_of_equal_size(n_samples, n_splits, seed):
    curve = default_curve(n_samples // 2)
    halves = assign_halves([f"s{i}" for i in range(n_samples)], n_splits, curve, seed)
    for split in range(n_splits):
        a, b = (set(halves.members(split, half, curve[-1])) for half in (0, 1))
        assert not a & b
        assert len(a) == len(b) == n_samples // 2
        for half in (0, 1):
            members = [set(halves.members(split, half, n)) for n in curve]
            assert [len(m) for m in members] == list(curve)
            assert all(small <= large for small, large in pairwise(members))


def test_halves_depend_on_names_and_seed_and_not_on_the_order_of_samples():
    keys = [f"s{i}" for i in range(20)]
    turned = keys[::-1]
    first = assign_halves(keys, 3, (1, 5, 10), 1)
    again = assign_halves(turned, 3, (1, 5, 10), 1)
    for split in range(3):
        for half in (0, 1):
            names = {keys[i] for i in first.members(split, half, 5)}
            assert names == {turned[i] for i in again.members(split, half, 5)}
    assert not np.array_equal(first.rank, assign_halves(keys, 3, (1, 5, 10), 2).rank)
    assert not np.array_equal(first.rank[0], first.rank[1])


def test_the_splits_are_not_lopsided():
    """Every sample falls into half a about half of the time."""
    n_splits = 2_000
    halves = assign_halves([f"s{i}" for i in range(10)], n_splits, (1, 5), 0)
    shares = (halves.half == 0).mean(axis=0)
    assert np.all(np.abs(shares - 0.5) < 5 * np.sqrt(0.25 / n_splits))
    assert sorted(hash_order("abc", "x")) == [0, 1, 2]


@pytest.mark.parametrize(
    ("keys", "n_splits", "curve", "message"),
    [
        (["a", "a"], 1, (1,), "occurs twice"),
        (["a", "b"], 0, (1,), "n_splits is 0"),
        (["a", "b"], 1, (2,), "need 4 samples, there are 2"),
        (["a", "b"], 1, (), "expected increasing"),
        (["a", "b"], 1, (0, 1), "expected increasing"),
        (["a", "b", "c", "d"], 1, (2, 1), "expected increasing"),
    ],
)
def test_bad_settings_are_refused(keys, n_splits, curve, message):
    with pytest.raises(ValueError, match=message):
        assign_halves(keys, n_splits, curve, 0)


@pytest.mark.parametrize("n_samples", [2, 3, 25])
def test_every_mean_equals_the_slow_loop(n_samples):
    scores = made_scores(n_samples)
    curve = default_curve(n_samples // 2)
    halves = assign_halves([f"s{i}" for i in range(n_samples)], 3, curve, 7)
    means = added(halves, scores)
    np.testing.assert_allclose(
        means.whole(), slow_mean(scores, range(n_samples)), rtol=1e-6, atol=1e-9
    )
    for split in range(3):
        for half in (0, 1):
            found = dict(means.half(split, half))
            assert tuple(found) == curve
            for n, mean in found.items():
                expected = slow_mean(scores, halves.members(split, half, n))
                np.testing.assert_allclose(mean, expected, rtol=1e-6, atol=1e-9)


def test_a_sample_in_the_wrong_half_or_a_changed_score_is_noticed():
    """The comparison above fails when the sums are damaged."""
    scores = made_scores(20)
    halves = assign_halves([f"s{i}" for i in range(20)], 1, (1, 10), 0)
    intact = dict(added(halves, scores).half(0, 0))[10]
    rank, half = halves.rank.copy(), halves.half.copy()
    i, j = halves.members(0, 0, 10)[0], halves.members(0, 1, 10)[0]
    half[0, [i, j]] = half[0, [j, i]]
    rank[0, [i, j]] = rank[0, [j, i]]
    swapped = type(halves)(halves.curve, rank, half)
    assert np.abs(dict(added(swapped, scores).half(0, 0))[10] - intact).max() > 1e-3
    damaged = scores.copy()
    damaged[i, 0, 0] += 0.01
    assert np.abs(dict(added(halves, damaged).half(0, 0))[10] - intact).max() > 5e-4


@pytest.mark.parametrize(("threads", "batch"), [(2, 5), (1, 1), (1, 1000), (3, 4)])
def test_threads_and_batches_change_no_byte(threads, batch):
    scores = made_scores(30)
    halves = assign_halves([f"s{i}" for i in range(30)], 2, (1, 5, 15), 0)
    one, other = added(halves, scores), added(halves, scores, threads, batch)
    assert one.whole().tobytes() == other.whole().tobytes()
    for (_, mean), (_, again) in zip(one.half(1, 1), other.half(1, 1), strict=True):
        assert mean.tobytes() == again.tobytes()


def test_large_and_small_scores_keep_their_digits():
    """A float32 sum would lose the small scores beside the large one."""
    scores = np.full((1000, 1, 1), 1e-3, dtype=np.float32)
    scores[0] = 1e5
    halves = assign_halves([f"s{i}" for i in range(1000)], 1, (1,), 0)
    means = MeanScores(halves, 1, 1)
    means.add(scores[:, 0], np.arange(1000), np.zeros(1000, dtype=np.int64))
    assert means.whole()[0, 0] == pytest.approx((1e5 + 999 * float(np.float32(1e-3))) / 1000)


def test_a_row_that_is_missing_or_added_twice_is_refused():
    halves = assign_halves(["a", "b"], 1, (1,), 0)
    means = MeanScores(halves, 1, 2)
    row = np.ones((1, 2), dtype=np.float32)
    means.add(row, np.array([0]), np.array([0]))
    with pytest.raises(ValueError, match="1 of 2 rows were not added"):
        means.whole()
    with pytest.raises(ValueError, match="added twice"):
        means.add(row, np.array([0]), np.array([0]))
