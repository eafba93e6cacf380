"""Columns of the tables `enhancement` and `cross_enhancement`."""

from caploc.files.tables import COUNT, ESTIMATE, NUMBER, Schema, texts

__all__ = ["CROSS_ENHANCEMENT", "ENHANCEMENT"]

ENHANCEMENT: Schema = {
    **texts("model", "dataset", "method", "mask"),
    "sigma": NUMBER,
    **texts("arm", "choice"),
    "rate": NUMBER,
    "epoch": COUNT,
    **texts("comparison"),
    **ESTIMATE,
    "n_draws": COUNT,
}
# Neurons of one data set trained (source), another one answered (dataset).
CROSS_ENHANCEMENT: Schema = {
    **texts("model", "source", "dataset", "method", "mask"),
    **texts("sets", "arm", "relation", "comparison"),
    **ESTIMATE,
    "n_draws": COUNT,
}
