"""Path rules: at which fractions of its value a layer is evaluated, and with which weights.

The integral of dP/dw over the path from 0 to the recorded value is replaced by a sum,

    integral ~ sum_n weights[n] * (dP/dw at points[n] * w),

``S`` is ``steps``. The formula in print (``inclusive``) has S + 1 points of weight 1/S, so its
weights add up to (S + 1)/S: all scores are a little too large by the same factor, which no
ranking notices. ``linspace`` is what public code for knowledge neurons does.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caploc.records import DataError

__all__ = ["PathRule", "path_rule", "rule_names"]

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PathRule:
    """Points and weights of one rule.

    Attributes:
        name: name of the rule.
        points: (step,) fractions of the recorded value, 0 to 1, ascending.
        weights: (step,) weights of the points.
    """

    name: str
    points: _Floats
    weights: _Floats

    @property
    def scaled(self) -> tuple[_Floats, _Floats]:
        """Points below 1 with their weights; 0 is always there, with weight 0 if not in the rule.

        P at 0 is wanted for the completeness gap, whatever the rule.
        """
        below = self.points < 1
        points, weights = self.points[below], self.weights[below]
        if not len(points) or points[0] != 0:
            points, weights = np.append(0.0, points), np.append(0.0, weights)
        return points, weights

    @property
    def weight_of_one(self) -> float | None:
        """Weight of the point 1, where nothing is scaled; None if it is not in the rule."""
        return float(self.weights[-1]) if self.points[-1] == 1 else None


def path_rule(name: str, steps: int) -> PathRule:
    """Points and weights of a rule.

    Args:
        name: see `rule_names`.
        steps: S; at least 1.

    Raises:
        DataError: unknown rule.
        ValueError: fewer than one step.
    """
    if name not in _RULES:
        raise DataError(f"unknown path rule {name!r}; available: {', '.join(_RULES)}")
    if steps < 1:
        raise ValueError(f"steps must be at least 1, found {steps}")
    points, weights = _RULES[name](steps)
    return PathRule(name, points, weights)


def rule_names() -> list[str]:
    """Names of all rules."""
    return list(_RULES)


def _even(points: _Floats, steps: int) -> tuple[_Floats, _Floats]:
    return points, np.full(len(points), 1 / steps)


def _gauss_legendre(steps: int) -> tuple[_Floats, _Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    return (nodes + 1) / 2, weights / 2


_RULES: dict[str, Callable[[int], tuple[_Floats, _Floats]]] = {
    "inclusive": lambda s: _even(np.arange(s + 1) / s, s),
    "linspace": lambda s: _even(np.linspace(0, 1, s), s),
    "left": lambda s: _even(np.arange(s) / s, s),
    "right": lambda s: _even(np.arange(1, s + 1) / s, s),
    "midpoint": lambda s: _even((np.arange(s) + 0.5) / s, s),
    "gauss-legendre": _gauss_legendre,
}
