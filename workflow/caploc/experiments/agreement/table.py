"""Columns of the table `agreement`."""

from caploc.files.tables import COUNT, NUMBER, TESTED, Schema, texts

__all__ = ["AGREEMENT"]

AGREEMENT: Schema = {
    **texts("model", "dataset", "reference", "method", "mask"),
    "sigma": NUMBER,
    **texts("arm", "comparison"),
    "n_half": COUNT,
    **TESTED,
}
