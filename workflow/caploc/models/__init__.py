"""One file per decoder family: the names of its modules, as ``FAMILY: _family.Family``."""
