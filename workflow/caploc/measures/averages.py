"""Columns of the table `fidelity`, and the numbers in its cells."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from caploc.measures.statistics import bootstrap_mean

__all__ = ["FIDELITY", "Row", "averaged", "not_computed"]

Row = dict[str, Any]
_NUMBER, _TEXT, _COUNT = pa.float64(), pa.string(), pa.int32()

FIDELITY = pa.schema(
    [
        *((name, _TEXT) for name in ("model", "dataset", "locator", "unit", "rule", "rewrite")),
        ("averaged_facts", _COUNT),
        *((name, _TEXT) for name in ("facts", "comparison", "fact", "metric")),
        *((name, _NUMBER) for name in ("value", "ci_low", "ci_high")),
        ("interval", _TEXT),
        *((name, _COUNT) for name in ("n", "n_draws")),
        *((name, _NUMBER) for name in ("p", "p_holm")),
        ("role", _TEXT),
    ]
)
"""One number a row. `averaged_facts`: facts whose scores were averaged before locating."""


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
