"""Columns of the table `decoupling`."""

import pyarrow as pa

__all__ = ["DECOUPLING"]

_NUMBER, _TEXT, _COUNT = pa.float64(), pa.string(), pa.int32()

DECOUPLING = pa.schema(
    [
        *((name, _TEXT) for name in ("model", "dataset", "pairs", "rule", "norm")),
        *((name, _TEXT) for name in ("comparison", "control")),
        ("n_sets", _COUNT),
        ("metric", _TEXT),
        *((name, _NUMBER) for name in ("value", "ci_low", "ci_high")),
        ("interval", _TEXT),
        *((name, _COUNT) for name in ("n", "n_draws")),
        *((name, _NUMBER) for name in ("p", "p_holm")),
        ("role", _TEXT),
    ]
)
"""One number a row. `pairs`: "known" (the model answers all prompts of the pair) or "all";
`n_sets`: sets that were intersected; `control`: empty for located sets, else what took their place.
"""
