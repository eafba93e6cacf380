"""Columns of the table `decoupling`."""

from caploc.files.tables import COUNT, TESTED, Schema, texts

__all__ = ["DECOUPLING"]

DECOUPLING: Schema = {
    **texts("model", "dataset", "pairs", "rule", "norm", "comparison", "control"),
    "n_sets": COUNT,
    **TESTED,
}
"""One number a row. `pairs`: "known" (the model answers all prompts of the pair) or "all";
`n_sets`: sets that were intersected; `control`: empty for located sets, else what took their place.
"""
