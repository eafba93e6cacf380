"""Kinds of sets that experiments across data sets compare, as the page calls them."""

__all__ = ["SET_KINDS"]

SET_KINDS = {
    "own": "all located neurons of each",
    "equal": "equally many of each",
    "own-distinct": "without the neurons common to all",
    "equal-distinct": "equally many of each, without the neurons common to all",
}
