"""Probability of the answer token and its gradient, without ever holding all logits.

With h the normed residual, W the rows of the head, b its bias, y the answer token and a = W h + b,

    P = softmax(a)[y],    d log P / dh = W[y] - sum_v softmax(a)[v] W[v].

Where a family scales its logits, h and b are scaled, and the gradient again at the end. Where it
caps them softly, z = c tanh(a / c) takes the place of a, and the row of W of each token v is
multiplied by dz/da = 1 - (z[v] / c)^2.

The vocabulary is read in tiles that stay in the processor's cache. With m the largest logit so far,
the sums over v of exp(z[v] - m) and of exp(z[v] - m) W[v] are kept, and shrunk by exp(m - m') when
a tile has a larger one, m'; the second over the first is the sum above.

The gradient of log P is returned, not of P: it neither under- nor overflows in 16 bits, and
dP = P * d log P can be formed in float32 at the end because everything behind it is linear.
"""

import torch
from torch import Tensor, nn

from caploc.models.placement import held_weight_and_bias

__all__ = ["answer_probability", "logit_rows"]

# Logits held at once: 128 MiB of float32 on a device of its own, on the processor what its cache
# takes, in tiles wide enough for products at full speed (measured: 1,024 rows of 2,048 tokens).
_LOGITS, _LOGITS_CPU = 1 << 25, 1 << 21
_TILE_CPU = 1 << 11


def _tile(n_tokens: int, device: torch.device) -> int:
    """Tokens of the vocabulary that are read together."""
    return min(n_tokens, _TILE_CPU) if device.type == "cpu" else n_tokens


def logit_rows(head: nn.Linear, device: torch.device) -> int:
    """Rows whose logits are held at once, if nothing else limits them."""
    most = _LOGITS_CPU if device.type == "cpu" else _LOGITS
    return max(1, most // _tile(len(head.weight), device))


def answer_probability(
    head: nn.Linear,
    hidden: Tensor,
    target: Tensor,
    softcap: float | None = None,
    most_rows: int | None = None,
    scale: float = 1,
) -> tuple[Tensor, Tensor]:
    """Probability of one token per row, and the gradient of its logarithm.

    Args:
        head: linear map to logits, (vocab, width) weight, bias or none.
        hidden: (row, width) normed residual.
        target: (row,) token ids.
        softcap: c of ``c tanh(a / c)`` behind the head, or None.
        most_rows: rows whose logits are held at once; None takes `logit_rows`.
        scale: factor of the logits, in front of `softcap`.

    Returns:
        (row,) probability, in float32 or wider; (row, width) d log P / d hidden, as `hidden`.
    """
    weight, bias = held_weight_and_bias(head)
    if scale != 1:
        hidden, bias = hidden * scale, None if bias is None else bias * scale
    wide = torch.promote_types(hidden.dtype, torch.float32)
    probability = torch.empty(len(hidden), dtype=wide, device=hidden.device)
    gradient = torch.empty_like(hidden)
    step = min(most_rows or len(hidden), logit_rows(head, hidden.device))
    for first in range(0, len(hidden), max(step, 1)):
        part = slice(first, first + step)
        rows, y = (x[part].to(weight.device) for x in (hidden, target))
        probability[part], gradient[part] = _of_rows(weight, bias, rows, y[:, None], softcap)
    return probability, gradient if scale == 1 else gradient * scale


def _of_rows(
    weight: Tensor, bias: Tensor | None, hidden: Tensor, y: Tensor, softcap: float | None
) -> tuple[Tensor, Tensor]:
    """The same for rows whose logits of one tile fit, targets (row, 1)."""
    wide = torch.promote_types(hidden.dtype, torch.float32)
    largest = torch.full(y.shape, float("-inf"), dtype=wide, device=hidden.device)
    # Of the answer: its logit, and dz/da there.
    logit, steep = torch.zeros_like(largest), torch.ones_like(largest)
    total, pulled = torch.zeros_like(largest), torch.zeros_like(hidden, dtype=wide)
    size = _tile(len(weight), weight.device)
    for first in range(0, len(weight), size):
        w = weight[first : first + size]
        b = None if bias is None else bias[first : first + size]
        z = nn.functional.linear(hidden, w, b).to(wide)
        place = y - first
        here = (place >= 0) & (place < len(w))
        place = place.clamp(0, len(w) - 1)
        slope = None
        if softcap is not None:
            z = softcap * torch.tanh(z / softcap)
            slope = 1 - (z / softcap) ** 2
            steep = torch.where(here, slope.gather(1, place), steep)
        logit = torch.where(here, z.gather(1, place), logit)
        before, largest = largest, torch.maximum(largest, z.amax(1, keepdim=True))
        shrink = torch.exp(before - largest)
        z.sub_(largest).exp_()
        total.mul_(shrink).add_(z.sum(1, keepdim=True))
        if slope is not None:
            z *= slope
        pulled *= shrink
        if w.dtype == wide:
            pulled = torch.addmm(pulled, z, w)
        else:
            pulled += z.to(w.dtype) @ w
        del z, slope  # before the next tile is made
    probability = torch.exp(logit - largest) / total
    return probability[:, 0], weight[y[:, 0]] * steep - pulled / total
