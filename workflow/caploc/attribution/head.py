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

__all__ = ["answer_probability", "logit_rows"]

# Logits held at once: 128 MiB of float32; on the processor no more than what the C library keeps
# for the next call (larger blocks are mapped anew every time, page by page).
_LOGITS, _LOGITS_CPU = 1 << 25, 1 << 23


def logit_rows(head: nn.Linear, device: torch.device) -> int:
    """Rows whose logits are held at once, if nothing else limits them."""
    most = _LOGITS_CPU if device.type == "cpu" else _LOGITS
    return max(1, most // len(head.weight))


def answer_probability(
    head: nn.Linear,
    hidden: Tensor,
    target: Tensor,
    softcap: float | None = None,
    most_rows: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Probability of one token per row, and the gradient of its logarithm.

    Args:
        head: linear map to logits, (vocab, width) weight, bias or none.
        hidden: (row, width) normed residual.
        target: (row,) token ids.
        softcap: c of ``c tanh(a / c)`` behind the head, or None.
        most_rows: rows whose logits are held at once; None takes `logit_rows`.

    Returns:
        (row,) probability, in float32 or wider; (row, width) d log P / d hidden, as `hidden`.
    """
    weight = held_weight(head)
    wide = torch.promote_types(hidden.dtype, torch.float32)
    probability = torch.empty(len(hidden), dtype=wide, device=hidden.device)
    gradient = torch.empty_like(hidden)
    step = min(most_rows or len(hidden), logit_rows(head, hidden.device))
    for first in range(0, len(hidden), max(step, 1)):
        part = slice(first, first + step)
        # In a function of its own, so that the logits are gone before the next ones are made.
        probability[part], gradient[part] = _of_rows(
            head, weight, hidden[part], target[part, None], softcap
        )
    return probability, gradient


def _of_rows(
    head: nn.Linear, weight: Tensor, hidden: Tensor, y: Tensor, softcap: float | None
) -> tuple[Tensor, Tensor]:
    """The same for rows whose logits fit, targets (row, 1)."""
    z = head(hidden).to(torch.promote_types(hidden.dtype, torch.float32))
    if softcap is not None:
        z = softcap * torch.tanh(z / softcap)
    p = torch.softmax(z, dim=-1)
    probability = p.gather(1, y)[:, 0]
    of_answer = weight[y[:, 0]]
    if softcap is not None:
        slope = 1 - (z / softcap) ** 2
        of_answer = of_answer * slope.gather(1, y).to(weight.dtype)
        p *= slope
    return probability, torch.addmm(of_answer, p.to(weight.dtype), weight, alpha=-1)
