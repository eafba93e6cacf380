import numpy as np
import pytest

from caploc.experiments.known_answer._null import binomial_interval, calibrate, own_minus_other


def test_share_of_small_p_by_counting():
    effects = np.random.default_rng(0).normal(size=(50, 20))
    found = calibrate(effects, [0.05, 0.2])
    for calibration in found:
        count = 0
        for row in effects:
            p = (1 + sum(v >= row[0] for v in row[1:])) / 20
            count += p <= calibration.level + 1e-12
        assert calibration.share == count / 50


def test_exchangeable_sets_hold_and_a_special_one_does_not():
    rng = np.random.default_rng(0)
    effects = rng.normal(size=(400, 100))
    assert all(c.holds for c in calibrate(effects, [0.05, 0.1, 0.2]))
    effects[:, 0] += 1
    assert not any(c.holds for c in calibrate(effects, [0.05, 0.1, 0.2]))


def test_binomial_interval_by_summing_every_outcome():
    """Outside on either side lies at most 2.5 %; one outcome further inside, more."""
    from math import comb

    for n, p in ((400, 0.05), (400, 0.2), (30, 0.1)):
        mass = [comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
        low, high = (round(x * n) for x in binomial_interval(n, p))
        assert sum(mass[:low]) <= 0.025 < sum(mass[: low + 1])
        assert sum(mass[high + 1 :]) <= 0.025 + 1e-12 < sum(mass[high:])


def test_own_minus_other_is_the_mean_of_two_differences():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 40))
    first = np.zeros(40, dtype=bool)
    first[rng.permutation(40)[:20]] = True
    wanted = ((a[first].mean() - a[~first].mean()) + (b[~first].mean() - b[first].mean())) / 2
    found = own_minus_other(a, b, first, 0)
    assert found.value == pytest.approx(wanted, abs=1e-12)
    assert found.low < wanted < found.high


def test_bad_input():
    with pytest.raises(ValueError, match="no multiple of 1 / 100"):
        calibrate(np.zeros((3, 100)), [0.055])
    with pytest.raises(ValueError, match="two or more sets"):
        calibrate(np.zeros((3, 1)), [0.5])
    with pytest.raises(ValueError, match="1 of 4 samples"):
        own_minus_other(np.zeros(4), np.zeros(4), np.array([True, False, False, False]), 0)
