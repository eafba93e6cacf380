"""Means of neuron scores over all samples and over nested random halves, in one pass.

Every split orders the samples by a seeded hash of their keys; the first n are half a, the next n
half b, and the position inside a half is the sample's rank. The mean of the first m by rank is
wanted for every m of a curve, so a sample is added to one bucket (half, piece of the curve) per
split and the buckets are summed up at the end. Neither the order of the samples in their files nor
the borders of the files matter for the halves; sums run in float64 in file order, so equal samples
in equal order give equal bytes with any number of files and threads.

Memory: 8 bytes x layers x neurons x (splits x 2 x length of the curve + 1), whatever the number of
samples: 256 MB for 32 x 11,008 neurons, 5 splits and a curve of 9.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "HALVES",
    "Halves",
    "MeanScores",
    "assign_halves",
    "default_curve",
    "hash_order",
    "no_halves",
]

HALVES = ("a", "b")


@dataclass(frozen=True, slots=True)
class Halves:
    """Which samples enter which mean.

    Attributes:
        curve: sample counts per half, increasing; the last is the size of a half.
        rank: (split, sample) position inside its half, from 0; -1 in neither half.
        half: (split, sample) 0 for a, 1 for b; meaningless where the rank is -1.
    """

    curve: tuple[int, ...]
    rank: NDArray[np.int64]
    half: NDArray[np.int64]

    def members(self, split: int, half: int, n: int) -> NDArray[np.int64]:
        """Indices of the first `n` samples of one half, ascending."""
        rank = self.rank[split]
        return np.nonzero((self.half[split] == half) & (rank >= 0) & (rank < n))[0]


def default_curve(n_per_half: int) -> tuple[int, ...]:
    """1, 2, 5, 10, 20, 50, ... below `n_per_half`, then `n_per_half` itself (>= 1)."""
    if n_per_half < 1:
        raise ValueError(f"n_per_half is {n_per_half}; expected at least 1")
    steps = (digit * 10**power for power in range(len(str(n_per_half))) for digit in (1, 2, 5))
    return (*(n for n in steps if n < n_per_half), n_per_half)


def hash_order(keys: Sequence[str], salt: str) -> list[int]:
    """Indices of `keys` in a random order that depends on the keys and the salt alone."""
    digests = [hashlib.sha256(f"{salt}\0{key}".encode()).digest() for key in keys]
    return sorted(range(len(keys)), key=digests.__getitem__)


def assign_halves(keys: Sequence[str], n_splits: int, curve: Sequence[int], seed: int) -> Halves:
    """Put samples into two disjoint random halves, once for each split.

    Args:
        keys: (sample,) distinct names; equal names and seed give equal halves in every task, so
            that a task and its shuffled reference are split alike.
        n_splits: number of independent splits; >= 1.
        curve: increasing sample counts per half; the last is the size of a half, at most
            half the number of samples.
        seed: seed of the splits.

    Raises:
        ValueError: repeated keys, or a setting out of range.
    """
    if len(set(keys)) != len(keys):
        raise ValueError("a key occurs twice")
    if n_splits < 1:
        raise ValueError(f"n_splits is {n_splits}; expected at least 1")
    if not curve or curve[0] < 1 or list(curve) != sorted(set(curve)):
        raise ValueError(f"curve {list(curve)}; expected increasing counts of at least 1")
    size = curve[-1]
    if 2 * size > len(keys):
        raise ValueError(f"two halves of {size} need {2 * size} samples, there are {len(keys)}")
    rank = np.full((n_splits, len(keys)), -1, dtype=np.int64)
    half = np.zeros_like(rank)
    for split in range(n_splits):
        order = hash_order(keys, f"{seed}/{split}")
        for index in range(2):
            chosen = order[index * size : (index + 1) * size]
            rank[split, chosen] = np.arange(size)
            half[split, chosen] = index
    return Halves(tuple(curve), rank, half)


def no_halves(n_samples: int) -> Halves:
    """For samples that are too few to be split: no split, an empty curve."""
    rank = np.full((0, n_samples), -1, dtype=np.int64)
    return Halves((), rank, np.zeros_like(rank))


class MeanScores:
    """Running sums of scores, for all samples and for the halves of every split.

    Attributes:
        halves: which sample enters which mean.
        n_samples: number of samples whose mean is taken.
    """

    def __init__(self, halves: Halves, n_layers: int, n_neurons: int, threads: int = 1) -> None:
        """Make room for the sums.

        Args:
            halves: from `assign_halves` or `no_halves`.
            n_layers: layers of the grid.
            n_neurons: neurons in a layer.
            threads: threads that add; changes the speed, never the result.
        """
        self.halves = halves
        self.n_samples = halves.rank.shape[1]
        n_splits, n_pieces = halves.rank.shape[0], len(halves.curve)
        # Rank r belongs to the first piece of the curve that ends after it.
        piece = np.searchsorted(halves.curve, halves.rank, side="right")
        bucket = (np.arange(n_splits)[:, None] * 2 + halves.half) * n_pieces + piece + 1
        bucket[halves.rank < 0] = 0
        # Bucket 0 holds every sample; a sample outside both halves of a split is not added again.
        self._buckets = [[0, *sorted(set(column) - {0})] for column in bucket.T.tolist()]
        # Layers come first: a thread works on the sums of one layer, which stay in its cache.
        self._sums = np.zeros((n_layers, n_splits * 2 * n_pieces + 1, n_neurons))
        self._n_added = np.zeros((n_layers, self.n_samples), dtype=np.uint8)
        self._threads = threads

    def add(
        self, scores: NDArray[np.float32], samples: NDArray[np.int64], layers: NDArray[np.int64]
    ) -> None:
        """Add rows of scores.

        Args:
            scores: (row, neuron) finite.
            samples: (row,) index of the sample of each row.
            layers: (row,) zero-based layer of each row.

        Raises:
            ValueError: a sample and layer was added before.
        """
        rows_of: dict[int, list[int]] = defaultdict(list)
        for row, layer in enumerate(layers.tolist()):
            rows_of[layer].append(row)

        def add_layer(layer: int) -> None:
            sums, rows = self._sums[layer], rows_of[layer]
            for row, sample in zip(rows, samples[rows].tolist(), strict=True):
                exact = scores[row].astype(np.float64)
                for bucket in self._buckets[sample]:
                    sums[bucket] += exact

        np.add.at(self._n_added, (layers, samples), 1)
        if self._n_added[layers, samples].max(initial=0) > 1:
            raise ValueError("a sample and layer was added twice")
        if self._threads == 1:
            for layer in rows_of:
                add_layer(layer)
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                list(pool.map(add_layer, rows_of))

    def whole(self) -> NDArray[np.float32]:
        """(layer, neuron) mean over every sample."""
        self._check_complete()
        return (self._sums[:, 0] / self.n_samples).astype(np.float32)

    def half(self, split: int, half: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Means of the first n samples of one half.

        Args:
            split: zero-based split.
            half: 0 for a, 1 for b.

        Yields:
            n and the mean (layer, neuron), for every n of the curve.
        """
        self._check_complete()
        first = (split * 2 + half) * len(self.halves.curve) + 1
        total = np.zeros_like(self._sums[:, 0])
        for piece, n in enumerate(self.halves.curve):
            total += self._sums[:, first + piece]
            yield n, (total / n).astype(np.float32)

    def _check_complete(self) -> None:
        missing = int((self._n_added == 0).sum())
        if missing:
            raise ValueError(f"{missing} of {self._n_added.size} rows were not added")
