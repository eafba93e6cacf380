"""Intervals and p values against hand-computed numbers and slow loops."""

import math
import statistics as standard_library

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caploc.measures.statistics import (
    bootstrap_mean,
    holm,
    permutation_p,
    resampled_means,
    spread,
    wilson,
)

shares = st.floats(0, 1)


def test_wilson_equals_published_and_hand_computed_intervals():
    # 8 of 10 at 95 %: z = 1.959964, centre (0.8 + z^2/20) / (1 + z^2/10) = 0.716740,
    # half width z sqrt(0.016 + z^2/400) / (1 + z^2/10) = 0.226578
    found = wilson(8, 10)
    assert found.value == 0.8
    assert found.low == pytest.approx(0.4901625, abs=1e-6)
    assert found.high == pytest.approx(0.9433178, abs=1e-6)
    assert found.n == 10


def test_wilson_ends_exactly_at_the_borders():
    assert wilson(0, 50).low == 0
    assert wilson(50, 50).high == 1
    # z^2 / (n + z^2)
    assert wilson(0, 10).high == pytest.approx(0.2775328, abs=1e-6)


@given(st.integers(1, 5000), shares)
def test_wilson_solves_its_equation(n, share):
    """The ends p satisfy (share - p)^2 = z^2 p (1 - p) / n, which is how they are defined."""
    hits = round(share * n)
    found = wilson(hits, n)
    z = standard_library.NormalDist().inv_cdf(0.975)
    assert 0 <= found.low <= found.value <= found.high <= 1
    for end in (found.low, found.high):
        assert (found.value - end) ** 2 == pytest.approx(z * z * end * (1 - end) / n, abs=1e-9)


@pytest.mark.parametrize(("hits", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_impossible_counts(hits, n):
    with pytest.raises(ValueError, match=f"{hits} successes in {n} trials"):
        wilson(hits, n)


def test_wilson_refuses_a_level_that_is_no_probability():
    with pytest.raises(ValueError, match="level is 95"):
        wilson(1, 2, level=95)


def test_bootstrap_is_seeded_and_holds_the_mean():
    values = np.random.default_rng(1).exponential(size=200)
    one, again, other = (bootstrap_mean(values, seed=s) for s in (3, 3, 4))
    assert one == again
    assert one != other
    assert one.low < one.value < one.high
    assert one.value == pytest.approx(sum(values) / 200)


def test_bootstrap_width_is_near_the_normal_interval():
    values = np.random.default_rng(1).normal(size=400)
    found = bootstrap_mean(values, seed=0, n_draws=4_000)
    expected = 1.96 * values.std() / math.sqrt(400)
    assert (found.high - found.low) / 2 == pytest.approx(expected, rel=0.1)


def test_bootstrap_covers_the_true_mean_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        found = bootstrap_mean(generator.exponential(size=60), seed=trial, n_draws=300)
        hits += found.low <= 1 <= found.high
    assert 0.85 <= hits / 200 <= 0.99


def test_bootstrap_in_blocks_equals_one_block(monkeypatch):
    """Long lists are drawn in blocks; every draw still has as many values as there are."""
    values = [0.0, 1.0] * 8
    expected = bootstrap_mean(values, seed=5)
    monkeypatch.setattr("caploc.measures.statistics._BLOCK", 40)
    assert bootstrap_mean(values, seed=5) == expected


def test_bootstrap_of_equal_values_has_no_width():
    found = bootstrap_mean([0.25] * 7, seed=0)
    assert (found.low, found.value, found.high) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize(
    ("values", "message"),
    [([], "non-empty"), ([1.0, float("nan")], "not finite"), ([[1.0]], "non-empty")],
)
def test_bootstrap_refuses_bad_values(values, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_mean(values, seed=0)


def test_bootstrap_refuses_no_draws():
    with pytest.raises(ValueError, match="n_draws is 0"):
        bootstrap_mean([1.0], seed=0, n_draws=0)


def test_p_counts_equal_controls_and_itself():
    assert permutation_p(0.5, [0.1, 0.5, 0.9]) == 3 / 4
    assert permutation_p(1.0, [0.1] * 199) == 1 / 200
    assert permutation_p(0.0, [0.1] * 199) == 1


@pytest.mark.parametrize(
    ("effect", "controls", "message"),
    [(0.5, [], "non-empty"), (float("nan"), [0.1], "finite"), (0.5, [float("inf")], "finite")],
)
def test_p_refuses_missing_effects(effect, controls, message):
    with pytest.raises(ValueError, match=message):
        permutation_p(effect, controls)


def test_p_is_uniform_when_there_is_no_effect():
    generator = np.random.default_rng(0)
    found = [permutation_p(*_split(generator.normal(size=20))) for _ in range(2_000)]
    assert np.mean(np.array(found) <= 0.05) == pytest.approx(0.05, abs=0.02)


def _split(values):
    return values[0], values[1:]


def test_holm_equals_hand_computed_values():
    # sorted .01 .03 .04 .05 times 4 3 2 1 = .04 .09 .08 .05, made non-decreasing: .04 .09 .09 .09
    assert holm([0.04, 0.01, 0.05, 0.03]) == pytest.approx([0.09, 0.04, 0.09, 0.09])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(shares, max_size=12))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values):
    level = 0.05
    rejected = set()
    for step, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[index] * (len(p_values) - step) > level:
            break
        rejected.add(index)
    found = holm(p_values)
    assert {i for i, p in enumerate(found) if p <= level} == rejected
    assert all(p <= q <= 1 for p, q in zip(p_values, found, strict=True))


def test_holm_refuses_what_is_no_probability():
    with pytest.raises(ValueError, match=r"1\.5 is outside"):
        holm([0.1, 1.5])


def test_spread_is_mean_and_range_of_the_splits_that_have_a_value():
    found = spread([0.5, None, 0.7])
    assert (found.value, found.low, found.high, found.n) == (pytest.approx(0.6), 0.5, 0.7, 2)
    assert spread([None, None]) is None
    assert spread([]) is None


@given(st.lists(shares, min_size=1))
def test_the_mean_lies_in_the_range(values):
    found = spread(values)
    assert found.low <= found.value <= found.high


def test_resampled_means_are_those_of_a_loop():
    """One draw after another: the samples drawn once for all arms, then each arm's runs."""
    rng = np.random.default_rng(1)
    arms = [rng.normal(size=(1, 6)), rng.normal(size=(3, 6))]
    found = resampled_means(arms, seed=5, n_draws=40)
    again = np.random.default_rng(5)
    samples = [again.integers(6, size=6) for _ in range(40)]
    for arm, means in zip(arms, found, strict=True):
        runs = again.integers(len(arm), size=(len(arm), 40))
        for draw in range(40):
            values = [arm[run][i] for run in runs[:, draw] for i in samples[draw]]
            assert means[draw] == pytest.approx(sum(values) / len(values), abs=1e-12)


def test_resampled_means_are_paired_and_as_wide_as_theory_says():
    rng = np.random.default_rng(2)
    one = rng.normal(size=(1, 400))
    base, raised = resampled_means([one, one + 0.25], seed=0, n_draws=4000)
    assert raised - base == pytest.approx(np.full(4000, 0.25), abs=1e-12)
    assert base.std() == pytest.approx(one.std() / math.sqrt(400), rel=0.06)
    # Runs that differ a lot widen the interval, whatever the samples are.
    runs = np.repeat([[0.0], [1.0], [2.0], [3.0]], 400, axis=1)
    (wide,) = resampled_means([runs], seed=0, n_draws=4000)
    assert wide.std() == pytest.approx(np.std([0, 1, 2, 3]) / math.sqrt(4), rel=0.06)


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ([], "expected"),
        ([[[1.0], [2.0]], [[1.0, 2.0]]], "expected equal"),
        ([[[math.nan]]], "not finite"),
        ([[1.0]], "expected"),
    ],
)
def test_resampled_means_refuse_what_is_not_paired(arms, message):
    with pytest.raises(ValueError, match=message):
        resampled_means(arms, seed=0)
