"""Which sample belongs to which split: by a seeded hash of the normalised prompt."""

import hashlib
import unicodedata
from collections.abc import Sequence

__all__ = ["SPLITS", "cut", "distinct_in_order", "normalise", "prompt_digest"]

SPLITS = ("locate", "train", "validation", "test")
_FIRST = 20
"""Samples that the first split gets before the others get any: masks come first."""


def normalise(prompt: str) -> str:
    """Text by which two prompts count as the same: NFKC, case folded, single spaces, stripped."""
    return " ".join(unicodedata.normalize("NFKC", prompt).casefold().split())


def prompt_digest(prompt: str) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the normalised prompt."""
    return hashlib.sha256(normalise(prompt).encode()).hexdigest()[:16]


def distinct_in_order(digests: Sequence[str], seed: str) -> list[int]:
    """Positions of the first occurrence of each digest, in an order that the seed decides.

    The order of a digest does not depend on the other rows: a larger data set, or a larger wanted
    number, keeps the samples that a smaller one had.

    Args:
        digests: one prompt digest a row.
        seed: any text.
    """
    first: dict[str, int] = {}
    for position, digest in enumerate(digests):
        first.setdefault(digest, position)
    keys = {d: hashlib.sha256(f"{seed}:{d}".encode()).digest() for d in first}
    return [first[digest] for digest in sorted(first, key=lambda d: keys[d])]


def cut(n: int, wanted: dict[str, int]) -> dict[str, range]:
    """Cut n ordered samples into disjoint consecutive ranges.

    Args:
        n: samples there are.
        wanted: samples wanted by split.

    Returns:
        Ranges by split. If n is less than the sum wanted, each split gets its proportional share,
        rounded down; what rounding leaves goes to the first. The first has at least 20 samples, if
        it wants so many and there are so many; the others then share what is left.
    """
    sizes = dict(wanted)
    if n < sum(wanted.values()):
        sizes = _in_proportion(n, wanted)
        (first, own), *others = wanted.items()
        least = min(n, own, _FIRST)
        if others and sizes[first] < least:
            sizes = {first: least} | _in_proportion(n - least, dict(others))
    ranges: dict[str, range] = {}
    start = 0
    for name, size in sizes.items():
        ranges[name] = range(start, start + size)
        start += size
    return ranges


def _in_proportion(n: int, wanted: dict[str, int]) -> dict[str, int]:
    total = sum(wanted.values())
    sizes = {name: n * size // total for name, size in wanted.items()}
    sizes[next(iter(sizes))] += n - sum(sizes.values())
    return sizes
