"""Coincidence rates against sets written out by hand, and against drawing at random."""

import itertools

import numpy as np
import pytest

from caploc.experiments.decoupling import _coincidence as decoupling
from caploc.experiments.decoupling._coincidence import CELLS


def units(*numbers):
    return np.array(numbers, dtype=np.int32)


def test_rates_of_small_sets():
    # 2 common of sizes 4 and 2; 1 common of sizes 4, 2 and 3
    assert decoupling.coincidence([units(1, 2, 3, 4), units(2, 3)]) == pytest.approx(2 / 3)
    three = [units(1, 2, 3, 4), units(2, 3), units(0, 3, 9)]
    assert decoupling.coincidence(three) == pytest.approx(1 / 3)
    assert decoupling.coincidence([units(1), units()]) is None
    assert decoupling.coincidence([]) is None
    pairs = decoupling.compared([[units(1, 2), units(5)], [units(2, 3), units(6)]])
    assert [decoupling.coincidence(pair) for pair in pairs] == [0.5, 0.0]
    assert decoupling.compared([three]) == [three]


def test_identical_samples_have_one():
    same = [units(1, 5, 7)] * 4
    assert decoupling.coincidence(same) == 1
    grid = decoupling.compact({"a": same})["a"]
    assert decoupling.two_way(grid, grid).tolist() == [[1.0] * 4] * 4


def test_the_curve_is_the_intersection_of_the_first_sets():
    rng = np.random.default_rng(0)
    sets = [units(*np.sort(rng.choice(9, 6, replace=False))) for _ in range(5)]
    found = decoupling.curve(sets, [1, 2, 5], 40, seed=1)
    assert found[1] == [1.0] * 40
    assert set(found[5]) == {decoupling.coincidence(sets)}
    every = {decoupling.coincidence(pair) for pair in itertools.combinations(sets, 2)}
    assert set(found[2]) == every  # 10 pairs, 40 orders


def test_random_sets_meet_the_expectation():
    per_layer = [20, 30]
    sets = [units(0, 1, 2, 3, 4, 25, 26), units(3, 4, 5, 30, 31, 32, 33, 34, 35)]
    rng = np.random.default_rng(0)
    for by_layer in (False, True):
        layers = per_layer if by_layer else [50]
        drawn = [[decoupling.draw_like(s, layers, rng) for s in sets] for _ in range(1000)]
        for example in drawn[:20]:
            for before, after in zip(sets, example, strict=True):
                assert len(after) == len(set(after.tolist())) == len(before)
                assert (np.diff(after) > 0).all() and after[-1] < 50
                if by_layer:
                    assert (after < 20).sum() == (before < 20).sum()
        values = np.array([decoupling.coincidence(pair) for pair in drawn])
        counts = decoupling.counts_by_layer(sets, layers)
        expected = decoupling.chance_pairs(counts[:1], counts[1:], layers)[0, 0]
        error = values.std() / np.sqrt(len(values))
        assert abs(values.mean() - expected) < 3 * error
        # the same by enumeration of the formula: sum a b / J over mean size
        by_hand = (5 * 3 / 20 + 2 * 6 / 30) / 8 if by_layer else (7 * 9 / 50) / 8
        assert expected == pytest.approx(by_hand)
        assert decoupling.chance_all(counts, layers) == pytest.approx(by_hand)


def test_three_way_expectation():
    counts = np.array([[3], [4], [5]])
    rng = np.random.default_rng(1)
    sets = [units(*range(n)) for n in (3, 4, 5)]
    drawn = [
        decoupling.coincidence([decoupling.draw_like(s, [6], rng) for s in sets])
        for _ in range(1000)
    ]
    expected = decoupling.chance_all(counts, [6])
    assert expected == pytest.approx(6 * (3 * 4 * 5) / 6**3 / 4)
    assert abs(np.mean(drawn) - expected) < 3 * np.std(drawn) / np.sqrt(1000)


@pytest.fixture
def prompts():
    """Sets of 5 samples, 4 prompts each, over 40 units."""
    rng = np.random.default_rng(3)
    return {
        name: [
            units(*np.sort(rng.choice(40, rng.integers(5, 15), replace=False))) for _ in range(5)
        ]
        for name in ("10", "11", "20", "21")
    }


def table_of(prompts):
    return decoupling.matched(decoupling.compact(prompts), decoupling.two_way)


def test_the_matched_comparison_is_the_mean_over_all_pairs_of_prompts(prompts):
    cells = {cell: [] for cell in CELLS}
    names = list(prompts)
    for (i, a), (j, b) in itertools.product(itertools.product(range(5), names), repeat=2):
        same_task = a[0] == b[0]
        # within a task the two forms are compared, never a form with itself
        if same_task and a == b:
            continue
        key = f"{'same' if i == j else 'other'} main part, {'same' if same_task else 'other'} task"
        cells[key].append(decoupling.coincidence([prompts[a][i], prompts[b][j]]))
    found = decoupling.effects(table_of(prompts))
    for cell in CELLS:
        assert found[cell] == pytest.approx(np.mean(cells[cell]), rel=1e-6), cell
    a, b, c, d = (np.mean(cells[cell]) for cell in CELLS)
    assert found["main part"] == pytest.approx((a + b) / 2 - (c + d) / 2, abs=1e-6)
    assert found["task"] == pytest.approx((a + c) / 2 - (b + d) / 2, abs=1e-6)
    assert found["interaction"] == pytest.approx((a - b) - (c - d), abs=1e-6)


def test_weights_are_repeated_samples_that_never_meet_themselves(prompts):
    table = table_of(prompts)
    weights = np.array([2, 0, 1, 1, 1])
    order = np.repeat(np.arange(5), weights)
    found = decoupling.effects(table, weights)
    for name, matrix in ((CELLS[2], table[0]), (CELLS[3], table[1])):
        values = [matrix[i, j] for i in order for j in order if i != j]
        assert found[name] == pytest.approx(np.mean(values))
    assert found[CELLS[0]] == pytest.approx(np.diag(table[0])[order].mean())
    with pytest.raises(ValueError, match="two different samples"):
        decoupling.effects(table, np.array([5, 0, 0, 0, 0]))


def test_a_planted_effect_of_the_task_is_found_and_of_the_text_is_not():
    rng = np.random.default_rng(0)
    sets = {}
    for name in ("10", "11", "20", "21"):
        own = 0 if name[0] == "1" else 10
        sets[name] = [
            np.unique([*range(own, own + 5), *rng.choice(np.arange(20, 400), 5, replace=False)])
            for _ in range(30)
        ]
    table = table_of({k: [units(*s) for s in v] for k, v in sets.items()})
    found, ends = decoupling.effects(table), decoupling.bootstrap_effects(table, seed=0)
    assert found["task"] == pytest.approx(0.5, abs=0.02)
    assert {name: estimate.value for name, estimate in ends.items()} == found
    assert ends["task"].low < found["task"] < ends["task"].high
    assert ends["main part"].low < 0 < ends["main part"].high
    assert ends == decoupling.bootstrap_effects(table, seed=0)
