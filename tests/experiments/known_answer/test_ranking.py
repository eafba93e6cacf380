"""Rankings against counting by hand, neuron by neuron."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caploc.experiments.known_answer import _ranking
from caploc.experiments.known_answer._ranking import (
    average_precision,
    precision_recall,
    roc_area,
    share_among_first,
    strength,
    top,
)

cases = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=12).filter(
    lambda rows: any(y for _, y in rows) and not all(y for _, y in rows)
)


def slow_precision(x, y):
    """Every true neuron counts with the share of true ones among those at least as strong."""
    total = Fraction(0)
    for strong, true in zip(x, y, strict=True):
        if true:
            among = [b for a, b in zip(x, y, strict=True) if a >= strong]
            total += Fraction(sum(among), len(among))
    return float(total / sum(y))


def slow_area(x, y):
    pairs = [
        Fraction(2 * (a > b) + (a == b), 2)
        for a, true in zip(x, y, strict=True)
        if true
        for b, other in zip(x, y, strict=True)
        if not other
    ]
    return float(sum(pairs) / len(pairs))


@given(cases)
def test_average_precision_and_area(rows):
    x, y = [a for a, _ in rows], [b for _, b in rows]
    assert average_precision(x, y) == pytest.approx(slow_precision(x, y), abs=1e-12)
    assert roc_area(x, y) == pytest.approx(slow_area(x, y), abs=1e-12)


def test_the_comparison_sees_a_damaged_routine(monkeypatch):
    """Without the rule for ties, equal strengths are ordered by chance."""
    x, y = [1, 1, 1, 1], [False, True, False, False]
    assert average_precision(x, y) == slow_precision(x, y) == 0.25
    monkeypatch.setattr(_ranking.np, "diff", lambda a, **k: np.ones(len(a) - 1 + len(k)))
    assert average_precision(x, y) != pytest.approx(0.25)


def test_known_values():
    assert average_precision([4, 3, 2, 1], [True, False, True, False]) == pytest.approx(5 / 6)
    assert roc_area([4, 3, 2, 1], [True, False, True, False]) == 0.75
    assert average_precision(np.zeros((2, 5)), np.eye(2, 5, dtype=bool)) == 0.2
    assert roc_area(np.zeros(4), [True, False, True, False]) == 0.5


def test_bad_input():
    with pytest.raises(ValueError, match="no neuron is true"):
        average_precision([1, 2], [False, False])
    with pytest.raises(ValueError, match="every neuron is true"):
        roc_area([1, 2], [True, True])
    with pytest.raises(ValueError, match="differ in shape"):
        roc_area([1, 2], [True])
    with pytest.raises(ValueError, match="not finite"):
        strength([[np.nan]], "value")
    with pytest.raises(ValueError, match="expected value, distance or positive"):
        strength([[1.0]], "size")


def test_strength():
    scores = np.array([[0.0, 1.0, 5.0], [-4.0, 0.0, 1.0]])  # mean .5
    assert strength(scores, "value").tolist() == scores.tolist()
    assert strength(scores, "distance").tolist() == [[0.5, 0.5, 4.5], [4.5, 0.5, 0.5]]
    assert strength(scores, "positive").tolist() == (scores - 0.5).tolist()
    layers = strength(scores, "distance", per_layer=True)
    for found, layer in zip(layers, scores, strict=True):
        spread = (sum((v - layer.mean()) ** 2 for v in layer) / 3) ** 0.5
        assert found == pytest.approx([abs(v - layer.mean()) / spread for v in layer])
    assert not strength(np.ones((2, 3)), "distance", per_layer=True).any()


def test_the_strongest():
    x = np.array([[1.0, 3.0], [3.0, 2.0]])
    assert top(x, 2).tolist() == [[False, True], [True, False]]
    assert top(x, 3).tolist() == [[False, True], [True, True]]
    edges = [top(np.zeros(10), 3, seed) for seed in range(20)]
    assert all(e.sum() == 3 for e in edges) and len({tuple(e) for e in edges}) > 5
    assert share_among_first(x, [[False, False], [True, True]], 2) == 0.5


def test_precision_and_recall():
    found, truth = [True, True, False, False], [True, False, True, True]
    assert precision_recall(found, truth) == (0.5, pytest.approx(1 / 3))
    assert precision_recall([False] * 4, truth) == (None, 0.0)
    assert precision_recall(found, [False] * 4) == (0.0, None)
