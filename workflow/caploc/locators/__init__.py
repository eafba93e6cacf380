"""One file per way to locate units of a model.

Contract: ``UNIT`` (what is scored: "ffn neuron", "layer" or "edge") and ``locate(lm, samples, *,
seed, **settings)``, which returns one result per sample in order: an object whose ``scores`` is a
numpy array over the grid of units, or the `Dropped` that says why there is none. The settings are
the keys of ``methods.<id>`` in the config, without ``locator``. A locator of single facts also has
``select(scores, ...)``: the located units of one fact as a boolean array of the same shape. What a
sample must carry beside prompt and answer (its subject, a counterfactual prompt) is said in the
file. Baselines that need no path have ``score(lm, samples)`` in place of `locate`: a (layer,
neuron) array or the `Dropped` for each sample. ``docs/locators.md`` explains the methods.
"""
