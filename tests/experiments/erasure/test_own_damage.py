"""Own neurons against those of other data sets: brute force, and calibration where nothing is."""

from itertools import permutations

import numpy as np
import polars as pl
import pytest

from caploc.experiments.erasure import _own_damage
from caploc.experiments.erasure._own_damage import NO_OTHERS, dealing_test, own_rows


def surplus(grid, dealing):
    """Mean over data sets of own fall minus the mean of the others, spelled out."""
    n, found = len(grid), []
    for target in range(n):
        own = dealing[target]
        others = [grid[s][target] for s in range(n) if s != own]
        found.append(grid[own][target] - sum(others) / (n - 1))
    return sum(found) / n


def test_p_counts_dealings():
    rng = np.random.default_rng(0)
    for n in (2, 3, 5):
        grid = rng.normal(size=(n, n))
        real = surplus(grid, range(n))
        values = [surplus(grid, dealing) for dealing in permutations(range(n))]
        hits = sum(value >= real - 1e-12 for value in values)
        assert dealing_test(grid, 0) == (pytest.approx(hits / len(values)), len(values))


def test_loud_sets_and_frail_data_sets_change_nothing():
    rng = np.random.default_rng(1)
    grid = rng.normal(size=(5, 5))
    main = 9 * rng.normal(size=(5, 1)) + 7 * rng.normal(size=(1, 5))
    assert dealing_test(grid + main, 0) == dealing_test(grid, 0)


def test_calibration():
    """Where nothing is, p <= .05 comes in 5 % of cases at most; where something is, it comes."""
    rng = np.random.default_rng(2)
    nothing = rng.normal(size=(400, 5, 5)) + 3 * rng.normal(size=(400, 5, 1))
    found = np.array([dealing_test(grid, 0)[0] for grid in nothing])
    # 99 % binomial interval of a share of .05 among 400.
    assert 0.025 <= (found <= 0.05).mean() <= 0.08
    shifted = [dealing_test(np.roll(np.eye(5), 1, axis=0) + grid, 0)[0] for grid in nothing[:50]]
    assert np.mean(shifted) > 0.4
    assert dealing_test(np.eye(5) + 0.01 * nothing[0], 0)[0] == pytest.approx(1 / 120)


def test_many_data_sets_are_dealt_at_random():
    grid = np.eye(9) + 0.01 * np.random.default_rng(3).normal(size=(9, 9))
    p, ways = dealing_test(grid, 0)
    assert ways == _own_damage.MOST_DEALINGS
    assert p == pytest.approx(1 / ways, rel=3)
    assert dealing_test(-grid, 0)[0] > 0.9


def test_rows():
    rng = np.random.default_rng(4)
    tasks = ["b", "a", "c"]
    falls = {(s, t): rng.normal(size=30) + 2 * (s == t) for t in tasks for s in tasks}
    falls |= {(s, "empty"): rng.normal(size=30) for s in tasks}
    table = pl.concat(list(own_rows(falls, "logprob_own", 0, True)), how="diagonal")
    assert table["target"].to_list() == [*tasks, None]
    for target, value in zip(tasks, table["value"], strict=False):
        others = np.mean([falls[s, target] for s in tasks if s != target], axis=0)
        assert value == pytest.approx((falls[target, target] - others).mean())
    mean = table.row(-1, named=True)
    assert mean["value"] == pytest.approx(table["value"][:3].mean())
    assert (mean["p"], mean["n_draws"], mean["role"], mean["n"]) == (1 / 6, 6, "primary", 90)
    assert mean["ci_low"] < mean["value"] < mean["ci_high"]
    assert set(table["role"][:3]) == {"exploratory"}


def test_one_set_alone():
    falls = {("a", "a"): np.ones(5), ("a", "b"): np.ones(5)}
    (row,) = own_rows(falls, "logprob_own", 0, True)
    assert row["interval"].item() == f"not computed: {NO_OTHERS}"
    assert "p" not in row.columns
