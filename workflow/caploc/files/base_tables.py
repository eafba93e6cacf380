"""Columns of the tables of every run: neurons, base, samples, completeness."""

from caploc.files.tables import COUNT, ESTIMATE, LAYER, NUMBER, TEXT, Schema, texts

__all__ = ["BASE", "COMPLETENESS", "NEURONS", "SAMPLES"]

NEURONS: Schema = {
    **texts("model", "dataset", "method", "mask"),
    "sigma": NUMBER,
    "layer": LAYER,
    "neuron": COUNT,
    **texts("shared_by", "metric"),
    "value": NUMBER,
}
BASE: Schema = {**texts("model", "dataset", "split"), **ESTIMATE}
SAMPLES: Schema = {**texts("model", "dataset", "split", "reason", "metric"), "value": COUNT}
COMPLETENESS: Schema = {
    **texts("model", "dataset", "method"),
    "layer": LAYER,
    "metric": TEXT,
    "value": NUMBER,
    "n": COUNT,
}
