"""One file per way to locate units of a model.

Contract: ``UNIT`` (what is scored) and ``locate(lm, samples, *, seed, **settings)``, which returns
one result per sample in order: an attribution, or the `Dropped` that says why there is none. The
settings are the keys of ``methods.<id>`` in the config, without ``locator``.
"""
