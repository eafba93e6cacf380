"""IPP against numbers worked out by hand, and what its null row must do."""

import itertools

import numpy as np
import pytest

from caploc.experiments.reliability._performance import Performance, explained, ipp, ipp_intervals

# three facts, two draws
LOCATED = [0.9, 0.2, 0.4]
RANDOM = [[0.1, 0.5, 0.3], [0.2, 0.1, 0.3]]


def test_the_headline_takes_one_draw_for_all_facts():
    found = ipp(Performance.of(LOCATED, RANDOM))
    assert found["located"] == pytest.approx(0.5)
    assert found["best random"] == pytest.approx(0.3)  # 0.3 and 0.2
    assert found["ipp"] == pytest.approx(0.2)
    assert found["best per fact"] == pytest.approx(0.5 - (0.2 + 0.5 + 0.3) / 3)
    assert found["mean of random"] == pytest.approx(0.25)
    # each draw in turn against the other: (0.3 - 0.2 + 0.2 - 0.3) / 2
    assert found["null"] == pytest.approx(0.0)


def test_a_ratio_of_sums_is_no_mean_of_ratios():
    base = [0.9, 0.001, 0.1]
    found = ipp(Performance.of(LOCATED, RANDOM, base))
    total = 0.9 + 0.001 + 0.1
    assert found["located"] == pytest.approx(1.5 / total)
    assert found["ipp"] == pytest.approx((1.5 - 0.9) / total)


def test_the_spare_draw_is_in_the_null_row_alone():
    spare = [[0.9, 0.9, 0.9]]
    found = ipp(Performance.of(LOCATED, RANDOM, None, spare))
    assert found["best random"] == pytest.approx(0.3)
    # draws 0.3, 0.2, 0.9 against the best of the others 0.9, 0.9, 0.3
    assert found["null"] == pytest.approx((0.3 - 0.9 + 0.2 - 0.9 + 0.9 - 0.3) / 3)


def test_cross_fitting_scores_a_draw_where_it_was_not_chosen():
    """All halvings of four facts, by hand."""
    rng = np.random.default_rng(0)
    located, random = rng.random(4), rng.random((3, 4))
    values = {}
    for half in itertools.combinations(range(4), 2):
        rest = [i for i in range(4) if i not in half]
        r = random[:, list(half)].mean(1).argmax()
        values[half] = located[rest].mean() - random[r, rest].mean()
    found = ipp(Performance.of(located, random))["cross-fitted"]
    # a mean over some halvings, each with both directions
    both = [(values[h] + values[tuple(i for i in range(4) if i not in h)]) / 2 for h in values]
    assert min(both) <= found <= max(both)
    alike = Performance.of([0.5] * 4, [[0.1] * 4, [0.3] * 4])
    assert ipp(alike)["cross-fitted"] == pytest.approx(0.2)


def test_several_parts_are_combined_by_their_harmonic_mean():
    located = [[1, 0.5], [0, 1.0]]  # means 0.5 and 0.75
    random = [[[1, 0], [1, 0]], [[0.5, 0.5], [0.5, 0.5]]]  # 0 (a part is 0) and 0.5
    found = ipp(Performance.of(located, random))
    assert found["located"] == pytest.approx(2 / (1 / 0.5 + 1 / 0.75))
    assert found["best random"] == pytest.approx(0.5)
    assert "best per fact" not in found


def test_the_null_row_is_negative_and_falls_with_the_number_of_draws():
    means = []
    for n_draws in (1, 3, 10, 30):
        values = []
        for seed in range(60):
            rng = np.random.default_rng(seed)
            random = rng.random((n_draws + 1, 20))
            performance = Performance.of(rng.random(20), random[:-1], None, random[-1:])
            values.append(ipp(performance)["null"])
        means.append(np.mean(values))
    assert means[0] == pytest.approx(0.0, abs=1e-12)  # of two draws one wins what the other loses
    assert all(a > b for a, b in itertools.pairwise(means))
    assert means[1] < 0


def test_the_maximum_is_taken_anew_in_every_bootstrap_draw():
    rng = np.random.default_rng(1)
    located, random = rng.random(12), rng.random((5, 12))
    performance = Performance.of(located, random)
    found = ipp_intervals(performance, seed=3, n_draws=200)
    again = np.random.default_rng(3)
    values = []
    for _ in range(200):
        chosen = again.integers(12, size=12)
        values.append(located[chosen].mean() - random[:, chosen].mean(1).max())
    assert found["ipp"].low == pytest.approx(np.quantile(values, 0.025))
    assert found["ipp"].high == pytest.approx(np.quantile(values, 0.975))
    assert found["ipp"].n == 12


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([], [[]]), "nothing to compare"),
        (([1.0], np.zeros((0, 1))), "nothing to compare"),
        (([1.0, 2.0], [[1.0]]), "not the same facts"),
        (([1.0], [[1.0]], [0.0]), "not above 0"),
        (([1.0], [[1.0]], [1.0, 1.0]), "divisors"),
    ],
)
def test_bad_input(arguments, words):
    with pytest.raises(ValueError, match=words):
        Performance.of(*arguments)


def test_one_fact_and_one_draw_leave_out_what_they_cannot_give():
    found = ipp(Performance.of([0.5], [[0.2]]))
    assert found["ipp"] == pytest.approx(0.3)
    assert "null" not in found and "cross-fitted" not in found


def test_shares_of_explained_variance():
    rng = np.random.default_rng(0)
    effect = rng.standard_normal((40, 3))
    layer = np.array([0.0, 1.0, 5.0])
    by_layer = np.broadcast_to(layer, (40, 3))
    found = explained(by_layer + 0.0, effect)
    assert found["layer"] == pytest.approx(1) and found["tracing"] < 0.1
    found = explained(2 * effect + 1, effect)
    assert found["tracing"] == pytest.approx(1) and found["layer"] < 0.2
    noisy = by_layer + rng.standard_normal((40, 3))
    found = explained(noisy, effect)
    r = np.corrcoef(noisy.ravel(), effect.ravel())[0, 1]
    assert found["tracing"] == pytest.approx(r**2)
    assert found["both"] >= max(found["layer"], found["tracing"])
    assert explained(np.ones((4, 2)), np.ones((4, 2))) == {}
    doubled = explained(np.repeat(noisy, 2, axis=0), np.repeat(effect, 2, axis=0))
    weighted = explained(noisy, effect, [2] * 40)
    assert weighted == pytest.approx(doubled)
