"""Columns of the tables `fidelity` and `tracing`."""

from caploc.files.tables import COUNT, ESTIMATE, LAYER, TESTED, TEXT, Schema, texts

__all__ = ["FIDELITY", "TRACING"]

FIDELITY: Schema = {
    **texts("model", "dataset", "locator", "unit", "rule", "rewrite"),
    "averaged_facts": COUNT,
    **texts("facts", "comparison", "fact"),
    **TESTED,
}
TRACING: Schema = {
    **texts("model", "dataset", "facts", "fact", "state", "position"),
    "token": COUNT,
    "text": TEXT,
    "layer": LAYER,
    **ESTIMATE,
}
