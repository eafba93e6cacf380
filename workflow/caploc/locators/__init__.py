"""One file per way to locate units of a model.

Contract: ``UNIT`` (what is scored: "ffn neuron", "layer" or "edge") and ``locate(lm, samples, *,
seed, **settings)``, which returns one result per sample in order: an object whose ``scores`` is a
numpy array over the grid of units, or the `Dropped` that says why there is none. The settings are
the keys of ``methods.<id>`` in the config, without ``locator``, and ``memory_mib`` of the model
where it has that. Baselines that need no path have ``score(lm, samples)`` in place of `locate`: a
(layer, neuron) array or the `Dropped` for each sample.

A locator of single facts also has ``select(scores, ...)``: the located units of one fact as a
boolean array of the same shape; ``located(result, **settings)``: its located sets by name, one for
each rule; and ``per_layer(result)``: how many units each layer has, in the order of the flattened
scores. A sample names its subject in ``meta["subject"]`` and the same prompt about another subject
in ``meta["counterfactual"]``. ``docs/locators.md`` explains the methods.
"""
