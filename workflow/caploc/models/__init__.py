"""One file per decoder family: the names of its modules, as ``FAMILY: _family.Family``.

How to add one: docs/adding-a-family.md.
"""
