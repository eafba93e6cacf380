"""Contrasts against loops, partitions against brute force."""

from itertools import permutations

import numpy as np
import pytest

from caploc.experiments.erasure._crossing import contrast, contrast_of, label_partitions, label_test

TYPES = ["m", "m", "c", "l", "l"]


def test_contrast_of_leaves_the_diagonal_and_gaps_out():
    matrix = np.arange(25, dtype=float).reshape(5, 5) ** 1.5
    matrix[0, 2] = np.nan
    same, other = [], []
    for s in range(5):
        for t in range(5):
            if s != t and not np.isnan(matrix[s, t]):
                (same if TYPES[s] == TYPES[t] else other).append(matrix[s, t])
    assert contrast_of(matrix, TYPES) == pytest.approx(np.mean(same) - np.mean(other))
    assert contrast_of(matrix, list("abcde")) is None
    assert contrast_of(matrix, list("aaaaa")) is None


@pytest.mark.parametrize("sizes", [(2, 1, 2), (3, 2), (1, 1, 1), (4,), (2, 2, 2), (3, 2, 2, 1)])
def test_partitions_are_all_of_them_once(sizes):
    labels = [str(k) for k, size in enumerate(sizes) for _ in range(size)]

    def groups(one):
        return frozenset(frozenset(i for i, x in enumerate(one) if x == kind) for kind in set(one))

    found = [groups(one) for one in label_partitions(sizes)]
    assert len(found) == len(set(found))
    if len(labels) < 8:
        assert set(found) == {groups(one) for one in permutations(labels)}
    else:
        assert len(found) == 840


def test_label_test():
    rng = np.random.default_rng(0)
    labels = np.array(TYPES)
    block = np.where(labels[:, None] == labels[None], 1.0, 0.0) + rng.normal(size=(5, 5)) * 0.01
    assert label_test(block, TYPES) == (1 / 15, 15)
    assert label_test(-block, TYPES)[0] > 0.5
    assert label_test(block, list("aaaaa")) is None


def example(strength, n_draws=19, seed=0):
    """Five data sets of 30 samples; located sets hit their own type by `strength`."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(size=(5, 30)) * 3
    falls, draws = {}, {}
    for s in range(5):
        for t in range(5):
            hit = strength * (TYPES[s] == TYPES[t])
            falls[s, t] = hard[t] + hit + rng.normal(size=30) * 0.1
            draws[s, t] = hard[t] + rng.normal(size=(n_draws, 30)) * 0.1
    return falls, draws


def test_contrast_finds_what_was_put_in():
    falls, draws = example(0.5)
    found = contrast(falls, draws, TYPES, 0)
    cells = {k: f.mean() - draws[k].mean() for k, f in falls.items() if k[0] != k[1]}
    same = np.mean([v for (s, t), v in cells.items() if TYPES[s] == TYPES[t]])
    other = np.mean([v for (s, t), v in cells.items() if TYPES[s] != TYPES[t]])
    assert found.estimate.value == pytest.approx(same - other)
    assert found.estimate.low < 0.5 < found.estimate.high
    assert found.estimate.high - found.estimate.low < 0.2
    assert (found.p, found.n_draws, found.estimate.n) == (1 / 20, 19, 150)


def test_nothing_is_found_where_nothing_is():
    ps = [contrast(*example(0.0, seed=k), TYPES, 0).p for k in range(40)]
    assert 0.3 < np.mean(ps) < 0.7


def test_absent_pairs():
    falls, draws = example(0.5)
    for key in [k for k in falls if k[0] == 2]:
        del falls[key], draws[key]
    assert contrast(falls, draws, TYPES, 0).estimate.value == pytest.approx(0.5, abs=0.1)
    only = {k: v for k, v in falls.items() if k[0] == k[1]}
    assert contrast(only, draws, TYPES, 0) is None
