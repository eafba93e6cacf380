"""Probability of the answer token and its gradient, without keeping logits.

With h the normed residual, W the rows of the head and y the answer token,

    P = softmax(W h + b)[y],    d log P / dh = W[y] - sum_v softmax(W h + b)[v] W[v].

The gradient of log P is returned, not of P: it neither under- nor overflows in 16 bits, and
dP = P * d log P can be formed in float32 at the end because everything behind it is linear.
"""

import torch
from torch import Tensor, nn

__all__ = ["answer_probability"]

# Logits held at once: 128 MiB of float32.
_LOGITS = 1 << 25


def answer_probability(head: nn.Linear, hidden: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Probability of one token per row, and the gradient of its logarithm.

    Args:
        head: linear map to logits, (vocab, width) weight, bias or none.
        hidden: (row, width) normed residual.
        target: (row,) token ids.

    Returns:
        (row,) probability, in float32 or wider; (row, width) d log P / d hidden, as `hidden`.
    """
    weight = head.weight
    wide = torch.promote_types(hidden.dtype, torch.float32)
    probability = torch.empty(len(hidden), dtype=wide, device=hidden.device)
    gradient = torch.empty_like(hidden)
    step = max(1, _LOGITS // len(weight))
    for first in range(0, len(hidden), step):
        part = slice(first, first + step)
        p = torch.softmax(head(hidden[part]).to(wide), dim=-1)
        y = target[part]
        probability[part] = p.gather(1, y[:, None])[:, 0]
        gradient[part] = torch.addmm(weight[y], p.to(weight.dtype), weight, alpha=-1)
    return probability, gradient
