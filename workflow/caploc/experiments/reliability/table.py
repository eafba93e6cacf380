"""Columns of the table `reliability`."""

import pyarrow as pa

__all__ = ["RELIABILITY"]

_NUMBER, _TEXT, _COUNT = pa.float64(), pa.string(), pa.int32()

RELIABILITY = pa.schema(
    [
        *((name, _TEXT) for name in ("model", "dataset", "locator", "rule", "control", "measure")),
        ("layer", pa.int16()),
        ("budget", _TEXT),
        ("metric", _TEXT),
        *((name, _NUMBER) for name in ("value", "ci_low", "ci_high")),
        ("interval", _TEXT),
        *((name, _COUNT) for name in ("n", "n_draws")),
        *((name, _NUMBER) for name in ("p", "p_holm")),
        ("role", _TEXT),
    ]
)
"""One number a row. `rule`: what counts as located; `control`: what the random pool is; `measure`:
what performance means for this locator; `metric`: one of `_performance.KINDS`, or a count."""
