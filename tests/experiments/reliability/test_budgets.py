"""Costs, budgets and fillings, worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caploc.measures.budgets import LAYER, Units

# 2 layers of 5 neurons (30 weights each) and 3 heads (80 each)
UNITS = Units(n_layers=2, n_neurons=5, n_heads=3, neuron_cost=30, head_cost=80)
HEADS, LAYERS = list(range(10, 16)), [16, 17]


def ids(*units):
    return np.array(units, dtype=np.int64)


def test_costs():
    assert UNITS.costs == (30, 80, 150)
    assert UNITS.total == 10 * 30 + 6 * 80 == 780
    assert UNITS.cost(ids(0, 9)) == 60
    assert UNITS.cost(ids(UNITS.head(1, 2), UNITS.ffn_layer(1), 3)) == 80 + 150 + 30
    assert UNITS.cost(ids()) == 0
    assert UNITS.counts(ids(0, 9, 10, 15, 17)) == (2, 2, 1)
    assert (UNITS.head(0, 0), UNITS.head(1, 2), UNITS.ffn_layer(0)) == (10, 15, 16)


def test_budgets():
    assert UNITS.budget(LAYER) == 150
    assert UNITS.budget(0.1) == 78
    assert UNITS.budget(1.0) == 780


def test_filling_passes_over_what_does_not_fit():
    # 100 weights: head 15 (80), then neither a head nor a layer nor a neuron fits
    assert UNITS.fill(ids(15, 10, 16, 0), 100).tolist() == [15]
    # 110: the neuron behind them still does
    assert UNITS.fill(ids(15, 10, 16, 0, 1), 110).tolist() == [15, 0]
    assert UNITS.fill(ids(16, 10), 150).tolist() == [16]
    assert UNITS.fill(ids(10, 16, 11), 159).tolist() == [10]
    assert UNITS.fill(ids(10, 16, 11), 160).tolist() == [10, 11]
    assert UNITS.fill(ids(3, 1, 2), 61).tolist() == [3, 1]
    assert UNITS.fill(ids(3, 1, 2), 9999).tolist() == [3, 1, 2]
    assert UNITS.fill(ids(10), 79).size == UNITS.fill(ids(), 500).size == 0


@given(st.permutations(range(18)), st.integers(0, 900))
def test_filling_is_the_slow_walk(ranking, budget):
    wanted, left = [], budget
    for unit in ranking:
        cost = 30 if unit < 10 else 80 if unit < 16 else 150
        if cost <= left:
            wanted.append(unit)
            left -= cost
    assert UNITS.fill(ids(*ranking), budget).tolist() == wanted


@given(st.tuples(st.integers(0, 10), st.integers(0, 6), st.integers(0, 2)), st.integers(0, 99))
def test_random_sets_match_kinds_and_cost_exactly(counts, seed):
    drawn = UNITS.draw(counts, np.random.default_rng(seed))
    assert UNITS.counts(drawn) == counts
    assert len(set(drawn.tolist())) == sum(counts)
    assert UNITS.cost(drawn) == 30 * counts[0] + 80 * counts[1] + 150 * counts[2]


def test_every_unit_is_drawn_about_equally_often():
    seen = np.zeros(18)
    for r in range(600):
        seen[UNITS.draw((2, 1, 1), np.random.default_rng([0, r]))] += 1
    assert seen.sum() == 600 * 4
    for units, share in ((range(10), 2 / 10), (HEADS, 1 / 6), (LAYERS, 1 / 2)):
        assert seen[list(units)] / 600 == pytest.approx(share, abs=0.08)


def test_number_of_sets():
    assert UNITS.n_sets((0, 0, 1)) == 2
    assert UNITS.n_sets((2, 1, 0)) == 45 * 6


def test_grids_name_the_silenced_parts():
    neurons, heads = UNITS.grids(ids(0, 7, UNITS.head(1, 2), UNITS.ffn_layer(0)))
    assert neurons.tolist() == [[True] * 5, [False, False, True, False, False]]
    assert heads.tolist() == [[False] * 3, [False, False, True]]
    assert not UNITS.grids([])[0].any()
