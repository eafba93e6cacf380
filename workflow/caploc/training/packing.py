"""Sequences side by side in rows of one length, so that hardly any computing goes to padding."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

__all__ = ["IGNORED", "Packed", "pack"]

IGNORED = -100
"""Target of a position without loss."""


@dataclass(frozen=True, slots=True)
class Packed:
    """One batch.

    Attributes:
        ids: (row, token) token ids.
        positions: (row, token) position within its own sequence.
        targets: (row, token) the id that follows, or `IGNORED`.
        mask: (row, 1, token, token) True where a token may look: its own sequence, not ahead.
    """

    ids: Tensor
    positions: Tensor
    targets: Tensor
    mask: Tensor


def pack(sequences: Sequence[tuple[Sequence[int], int]], length: int, padding: int) -> Packed:
    """Pack sequences into rows, longest first, each into the first row with room.

    Args:
        sequences: (token ids, first position whose id is learned); none longer than `length`.
        length: longest row in tokens; rows are as long as the fullest one.
        padding: id that fills a row up.

    Raises:
        ValueError: a sequence is longer than `length`.
    """
    rows: list[_Row] = []
    for ids, learned in sorted(sequences, key=lambda s: -len(s[0])):
        if len(ids) > length:
            raise ValueError(f"a sequence of {len(ids)} tokens does not fit rows of {length}")
        row = next((row for row in rows if len(row.ids) + len(ids) <= length), None)
        if row is None:
            row = _Row()
            rows.append(row)
        row.add(ids, learned)
    width = max(len(row.ids) for row in rows)
    packed = torch.tensor([_filled(row.ids, width, padding) for row in rows])
    positions = torch.tensor([_filled(row.positions, width, 0) for row in rows])
    targets = torch.tensor([_filled(row.targets, width, IGNORED) for row in rows])
    # Padding is a sequence of its own (number 0), so that each of its rows sees something.
    owner = torch.tensor([_filled(row.owners, width, 0) for row in rows])
    mask = (owner[:, :, None] == owner[:, None, :]).tril()
    return Packed(packed, positions, targets, mask[:, None])


@dataclass(slots=True)
class _Row:
    """A row that is being filled; all lists are equally long."""

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    n_sequences: int = 0

    def add(self, ids: Sequence[int], learned: int) -> None:
        self.n_sequences += 1
        # The position before a token predicts it; the first token has none.
        first = max(learned, 1)
        self.ids.extend(ids)
        self.positions.extend(range(len(ids)))
        self.targets.extend([IGNORED] * (first - 1) + [*ids[first:], IGNORED])
        self.owners.extend([self.n_sequences] * len(ids))


def _filled(values: list[int], width: int, value: int) -> list[int]:
    return values + [value] * (width - len(values))
