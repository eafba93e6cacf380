"""Columns of the table `fidelity`, and the numbers in its cells."""

from collections.abc import Sequence
from typing import Any

from caploc.measures.statistics import bootstrap_mean

__all__ = ["Row", "averaged", "not_computed"]

Row = dict[str, Any]


def averaged(values: Sequence[float], minimum: int, seed: int) -> Row:
    """Mean over facts with a bootstrap interval, or why there is none."""
    if len(values) < minimum:
        return not_computed(len(values), minimum)
    found = bootstrap_mean(values, seed=seed)
    ends = {"ci_low": found.low, "ci_high": found.high, "interval": "bootstrap over facts, 95 %"}
    return {"value": found.value, "n": found.n} | ends


def not_computed(n: int, minimum: int) -> Row:
    """A cell without a value."""
    return {"interval": f"not computed: n = {n}, needs {minimum}", "n": n}
