"""Ways to score every neuron for one capability, all alike, to be compared on planted models.

Contract: ``RANKED`` and ``score(lm, given, *, seed, **settings)``. `score` returns (part, layer,
neuron) numbers whose mean over the parts is the score of a neuron: one part for each sample, so
that means of fewer samples need no second computation, or a single part where a score is no mean.
``RANKED`` says which neurons come first: ``value``, the largest scores, or ``distance``, those
farthest from the mean score of all neurons, as the masks do. The settings are the keys of
``experiments.known_answer.locators.<id>`` in the config, without ``candidate``.
"""
