"""Probability of the answer token and its gradient, without keeping logits.

With h the normed residual, W the rows of the head, b its bias, y the answer token and a = W h + b,

    P = softmax(a)[y],    d log P / dh = W[y] - sum_v softmax(a)[v] W[v].

Where a family caps its logits softly, z = c tanh(a / c) takes the place of a, and the row of W of
each token v is multiplied by dz/da = 1 - (z[v] / c)^2.

The gradient of log P is returned, not of P: it neither under- nor overflows in 16 bits, and
dP = P * d log P can be formed in float32 at the end because everything behind it is linear.
"""

import torch
from torch import Tensor, nn

from caploc.models._placement import held_weight

__all__ = ["answer_probability"]

# Logits held at once: 128 MiB of float32; on the processor no more than what the C library keeps
# for the next call (larger blocks are mapped anew every time, page by page).
_LOGITS, _LOGITS_CPU = 1 << 25, 1 << 23


def answer_probability(
    head: nn.Linear, hidden: Tensor, target: Tensor, softcap: float | None = None
) -> tuple[Tensor, Tensor]:
    """Probability of one token per row, and the gradient of its logarithm.

    Args:
        head: linear map to logits, (vocab, width) weight, bias or none.
        hidden: (row, width) normed residual.
        target: (row,) token ids.
        softcap: c of ``c tanh(a / c)`` behind the head, or None.

    Returns:
        (row,) probability, in float32 or wider; (row, width) d log P / d hidden, as `hidden`.
    """
    weight = held_weight(head)
    wide = torch.promote_types(hidden.dtype, torch.float32)
    probability = torch.empty(len(hidden), dtype=wide, device=hidden.device)
    gradient = torch.empty_like(hidden)
    most = _LOGITS_CPU if hidden.device.type == "cpu" else _LOGITS
    step = max(1, most // len(weight))
    for first in range(0, len(hidden), step):
        part = slice(first, first + step)
        z = head(hidden[part]).to(wide)
        if softcap is not None:
            z = softcap * torch.tanh(z / softcap)
        p = torch.softmax(z, dim=-1)
        y = target[part, None]
        probability[part] = p.gather(1, y)[:, 0]
        of_answer = weight[y[:, 0]]
        if softcap is not None:
            slope = 1 - (z / softcap) ** 2
            of_answer = of_answer * slope.gather(1, y).to(weight.dtype)
            p *= slope
        gradient[part] = torch.addmm(of_answer, p.to(weight.dtype), weight, alpha=-1)
    return probability, gradient
