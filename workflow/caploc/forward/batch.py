"""Prompts with their gold answers as one padded batch, and what logits say of the answers.

The gold answer is teacher-forced: token y_m is predicted behind the prompt and y_1..y_(m-1). Rows
are padded behind, where a causal model cannot see it, so no attention mask is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Batch", "Pair", "batch_of", "gold", "is_full", "padded"]

_MOST_TOKENS = 16_384
Pair = tuple[Sequence[int], Sequence[int]]
"""Token ids of a prompt and of its gold answer, neither empty."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Pairs of a prompt and its answer as the model reads them.

    Attributes:
        ids: (row, position) tokens; the last answer token predicts nothing that counts and is not
            read.
        positions: (row, answer token) where it is predicted; padding repeats the last one.
        targets: (row, answer token) its id; 0 for padding.
        counts: (row, answer token) False for padding.
    """

    ids: Tensor
    positions: Tensor
    targets: Tensor
    counts: Tensor

    @property
    def n_tokens(self) -> Tensor:
        """(row,) answer tokens."""
        return self.counts.sum(1)

    @property
    def read(self) -> Tensor:
        """(row, position) True where the position holds a token, False for padding."""
        places = torch.arange(self.ids.shape[1], device=self.ids.device)
        return places <= self.positions[:, -1:]

    @property
    def answering(self) -> Tensor:
        """(row, position) True where the next token belongs to the answer."""
        return torch.zeros_like(self.ids, dtype=torch.bool).scatter_(1, self.positions, True)

    def at_answer(self, states: Tensor) -> Tensor:
        """(row, answer token, ...) of (row, position, ...)."""
        return states[torch.arange(len(states), device=states.device)[:, None], self.positions]

    def rows(self, which: Tensor) -> "Batch":
        """The batch of some rows, each as often as it is named; padding stays."""
        parts = (self.ids, self.positions, self.targets, self.counts)
        return Batch(*(part[which] for part in parts))


def is_full(rows: int, width: int, most: int) -> bool:
    """Whether a batch may not grow to this size: one long text must not make short ones as long.

    Args:
        rows: it would have.
        width: tokens of the longest row, which all rows get.
        most: rows that are wanted.
    """
    return rows > most or (rows > 1 and rows * width > _MOST_TOKENS)


def batch_of(pairs: Sequence[Pair], device: torch.device) -> Batch:
    """Pad pairs of a prompt and an answer.

    Args:
        pairs: token ids; neither prompt nor answer is empty.
        device: where the batch lives.
    """
    width = max(len(answer) for _, answer in pairs)
    first = torch.tensor([[len(prompt) - 1] for prompt, _ in pairs], device=device)
    n_tokens = torch.tensor([[len(answer)] for _, answer in pairs], device=device)
    token = torch.arange(width, device=device)[None]
    return Batch(
        padded([[*prompt, *answer[:-1]] for prompt, answer in pairs], device),
        first + torch.minimum(token, n_tokens - 1),
        padded([answer for _, answer in pairs], device),
        token < n_tokens,
    )


def padded(rows: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """(row, position) token ids, with 0 behind the shorter rows."""
    length = max(map(len, rows))
    return torch.tensor([[*row, *[0] * (length - len(row))] for row in rows], device=device)


def gold(logits: Tensor, targets: Tensor) -> Tensor:
    """Log P of chosen tokens, in nat.

    Args:
        logits: (..., vocab).
        targets: (...) token ids.

    Returns:
        (...) in float32 or wider.
    """
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return torch.log_softmax(wide, -1).gather(-1, targets[..., None])[..., 0]
