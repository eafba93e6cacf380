"""Columns of the table `reliability`."""

from caploc.files.tables import LAYER, TESTED, TEXT, Schema, texts

__all__ = ["OVER_FACTS", "RELIABILITY"]

OVER_FACTS = "bootstrap over facts, 95 %"
"""What intervals of this table are called."""
RELIABILITY: Schema = {
    **texts("model", "dataset", "locator", "rule", "control", "measure"),
    "layer": LAYER,
    "budget": TEXT,
    **TESTED,
}
"""One number a row. `rule`: what counts as located; `control`: what the random pool is; `measure`:
what performance means for this locator; `metric`: one of `_performance.KINDS`, or a count."""
