"""Sequences side by side in rows of one length, so that hardly any computing goes to padding."""

from collections.abc import Sequence
from dataclasses import dataclass

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
    rows: list[list[tuple[Sequence[int], int]]] = []
    room: list[int] = []
    for ids, learned in sorted(sequences, key=lambda s: -len(s[0])):
        if len(ids) > length:
            raise ValueError(f"a sequence of {len(ids)} tokens does not fit rows of {length}")
        row = next((i for i, left in enumerate(room) if left >= len(ids)), None)
        if row is None:
            row = len(rows)
            rows.append([])
            room.append(length)
        rows[row].append((ids, learned))
        room[row] -= len(ids)
    width = length - min(room)
    shape = (len(rows), width)
    packed = torch.full(shape, padding)
    positions, targets = torch.zeros(shape, dtype=torch.long), torch.full(shape, IGNORED)
    # Padding is a sequence of its own (number 0), so that each of its rows sees something.
    owner = torch.zeros(shape, dtype=torch.long)
    for r, row_sequences in enumerate(rows):
        start = 0
        for number, (ids, learned) in enumerate(row_sequences, start=1):
            stop = start + len(ids)
            packed[r, start:stop] = torch.tensor(ids)
            positions[r, start:stop] = torch.arange(len(ids))
            owner[r, start:stop] = number
            # The position before a token predicts it; the first token has none.
            first = max(learned, 1)
            targets[r, start + first - 1 : stop - 1] = torch.tensor(ids[first:])
            start = stop
    mask = (owner[:, :, None] == owner[:, None, :]).tril()
    return Packed(packed, positions, targets, mask[:, None])
