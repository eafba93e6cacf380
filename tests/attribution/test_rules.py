"""Path rules: points and weights by hand, and what they integrate exactly."""

import numpy as np
import pytest

from caploc.attribution.rules import path_rule, rule_names
from caploc.records import DataError


@pytest.mark.parametrize(
    ("name", "points", "weights"),
    [
        ("inclusive", [0, 1 / 4, 1 / 2, 3 / 4, 1], [1 / 4] * 5),
        ("linspace", [0, 1 / 3, 2 / 3, 1], [1 / 4] * 4),
        ("left", [0, 1 / 4, 1 / 2, 3 / 4], [1 / 4] * 4),
        ("right", [1 / 4, 1 / 2, 3 / 4, 1], [1 / 4] * 4),
        ("midpoint", [1 / 8, 3 / 8, 5 / 8, 7 / 8], [1 / 4] * 4),
    ],
)
def test_four_steps(name: str, points: list[float], weights: list[float]) -> None:
    rule = path_rule(name, 4)
    np.testing.assert_allclose(rule.points, points, rtol=0, atol=1e-15)
    np.testing.assert_allclose(rule.weights, weights, rtol=0, atol=1e-15)


def test_printed_rule_has_twenty_points_of_weight_one_nineteenth() -> None:
    rule = path_rule("inclusive", 19)
    assert len(rule.points) == 20 and rule.weights.sum() == pytest.approx(20 / 19)


def test_gauss_legendre_integrates_polynomials_exactly() -> None:
    rule = path_rule("gauss-legendre", 4)
    for power in range(8):
        assert rule.weights @ rule.points**power == pytest.approx(1 / (power + 1), abs=1e-14)


@pytest.mark.parametrize("name", rule_names())
def test_every_rule(name: str) -> None:
    for steps in (1, 2, 19, 50):
        rule = path_rule(name, steps)
        assert (np.diff(rule.points) > 0).all()
        assert rule.points.min() >= 0 and rule.points.max() <= 1
        # The rows that are sent: everything below 1, and 0 always; 1 apart. Nothing is lost.
        points, weights = rule.scaled
        assert points[0] == 0 and (points < 1).all()
        total = weights.sum() + (rule.weight_of_one or 0)
        assert total == pytest.approx(rule.weights.sum())
        moment = weights @ points + (rule.weight_of_one or 0)
        assert moment == pytest.approx(rule.weights @ rule.points)


def test_who_has_the_end_points() -> None:
    assert path_rule("right", 3).weight_of_one == pytest.approx(1 / 3)
    assert path_rule("left", 3).weight_of_one is None
    assert path_rule("midpoint", 3).weight_of_one is None
    assert path_rule("midpoint", 3).scaled[1][0] == 0
    assert path_rule("left", 3).scaled[1][0] == pytest.approx(1 / 3)


def test_refusals() -> None:
    with pytest.raises(DataError, match="unknown path rule 'simpson'; available: inclusive, lin"):
        path_rule("simpson", 4)
    with pytest.raises(ValueError, match="at least 1, found 0"):
        path_rule("left", 0)
