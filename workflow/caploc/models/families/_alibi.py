"""Attention that adds a slope times the key's position to a score, as the engine can run it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["biased", "positions"]


def biased(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The bias as one more column: a query of 1 times what the key's position adds for the head.

    Args:
        query: (sample, head, row, width).
        key: (sample, key/value head, row, width).
        value: as `key`.
        bias: (sample or 1, head, row) what is added to the products, before they are scaled.

    Returns:
        Query, key and value, each with as many heads as the query.
    """
    repeat = query.shape[1] // key.shape[1]
    bias = bias.to(query)[..., None].expand(len(query), -1, -1, -1)
    return (
        torch.cat([query, torch.ones_like(query[..., :1])], dim=-1),
        torch.cat([key.repeat_interleave(repeat, dim=1), bias], dim=-1),
        value.repeat_interleave(repeat, dim=1),
    )


def positions(attend: Callable[..., Any], rows: Tensor) -> Tensor:
    """Positions (sample or 1, row) of rows (sample, row, ...), for blocks that are not told them.

    Args:
        attend: the attention of the engine, which knows the slot of each row.
        rows: whole sequences while they are recorded, else rows, the answer token fastest.
    """
    prefix: Any = attend.prefix  # type: ignore[attr-defined]
    if prefix is None:
        return torch.arange(rows.shape[1], device=rows.device)[None]
    slots: Tensor = prefix.slots.to(rows.device)
    return slots.repeat(1, rows.shape[1] // slots.shape[1])
