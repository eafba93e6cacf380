"""Columns of the tables `fidelity` and `tracing`."""

from caploc.files.tables import COUNT, ESTIMATE, LAYER, TESTED, TEXT, Schema, texts

__all__ = ["FIDELITY", "ROLES", "TRACING"]

FIDELITY: Schema = {
    **texts("model", "dataset", "locator", "unit", "rule", "rewrite"),
    "averaged_facts": COUNT,
    **texts("facts", "comparison", "fact"),
    **TESTED,
}
"""One number a row. `averaged_facts`: facts whose scores were averaged before locating."""
TRACING: Schema = {
    **texts("model", "dataset", "facts", "fact", "state", "position"),
    "token": COUNT,
    "text": TEXT,
    "layer": LAYER,
    **ESTIMATE,
}
"""Effects of restored states, by the role of the token or, of a single fact, by the token."""
ROLES = (
    "first subject token", "middle subject tokens", "last subject token", "further tokens",
    "last token",
)  # fmt: skip
"""Of tokens of a prompt, in its order."""
