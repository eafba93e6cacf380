"""One file per set of facts.

Contract: ``FACTS``, a `FactSet`; its ``read(settings)`` turns the rows of the data set (from the
hub or from local files) into `Fact` records, or into the `Dropped` that says why there is none.
"""
