"""One file a decoder family: the names of its modules, as ``FAMILY: caploc.models.family.Family``.

How to add one: docs/adding-a-family.md.
"""
