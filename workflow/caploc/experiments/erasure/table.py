"""Columns of the tables `erasure`, `examples`, `cross_erasure` and `cross_overlap`."""

from caploc.files.tables import COUNT, NUMBER, TESTED, Schema, texts

__all__ = ["CROSS_ERASURE", "CROSS_OVERLAP", "ERASURE", "EXAMPLES"]

ERASURE: Schema = {
    **texts("model", "dataset", "method", "mask"),
    "sigma": NUMBER,
    **texts("arm", "mode", "control"),
    "share": NUMBER,
    "shots": COUNT,
    **TESTED,
}
# What the model says to a question, unchanged and with neurons silenced.
EXAMPLES: Schema = texts(
    "model", "dataset", "method", "mask", "sample_id", "prompt", "answer", "unchanged", "located",
    "random",
)  # fmt: skip
# Neurons of one data set silenced (source), another one answered (target).
CROSS_ERASURE: Schema = {
    **texts("model", "method", "mask"),
    "sigma": NUMBER,
    **texts("source", "target", "sets"),
    **TESTED,
}
CROSS_OVERLAP = CROSS_ERASURE
