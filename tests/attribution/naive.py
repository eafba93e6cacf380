"""The definition, computed as slowly and plainly as possible.

For every answer token, layer and path point the whole sequence is run again, a hook replaces the
neurons of one layer at the last position, and autograd differentiates the probability with respect
to what the hook put in. Nothing is shared with the engine: no cache, no batching, no linearity.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass
class Naive:
    """Scores (token, layer, neuron) before averaging; P(1) (token,); P(0) (token, layer)."""

    scores: Tensor
    probability: Tensor
    probability_zeroed: Tensor

    @property
    def mean(self) -> Tensor:
        return self.scores.mean(0)

    @property
    def gap(self) -> Tensor:
        """(token, layer) |sum of the scores - (P(1) - P(0))|."""
        effect = self.probability[:, None] - self.probability_zeroed
        return (self.scores.sum(-1) - effect).abs()


def probability_of(
    model: Any,
    projection: Any,
    ids: list[int],
    token: int,
    change: Callable[[Tensor], Tensor] = lambda w: w,
) -> tuple[Tensor, Tensor]:
    """P(token | ids) with the neurons w at the last position replaced by change(w), and the w."""
    seen: list[Tensor] = []

    def replace(module: Any, args: tuple[Tensor]) -> tuple[Tensor]:
        full = args[0].clone()
        seen.append(args[0][0, -1].detach().clone())
        full[0, -1] = change(seen[-1])
        return (full,)

    handle = projection.register_forward_pre_hook(replace)
    try:
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
    finally:
        handle.remove()
    return torch.softmax(logits, -1)[token], seen[0]


def naive_scores(
    model: Any,
    projections: list[Any],
    prompt: list[int],
    answer: list[int],
    points: list[float],
    weights: list[float],
) -> Naive:
    """All scores of one sample."""
    scores, full, zeroed = [], [], []
    for m, token in enumerate(answer):
        ids = prompt + answer[:m]
        of_layers = []
        for projection in projections:
            _, w = probability_of(model, projection, ids, token)
            total = torch.zeros_like(w)
            for point, weight in zip(points, weights, strict=True):
                scaled = (point * w).requires_grad_(True)
                with torch.enable_grad():
                    p, _ = probability_of(
                        model, projection, ids, token, lambda _, value=scaled: value
                    )
                total += weight * torch.autograd.grad(p, scaled)[0]
            of_layers.append(w * total)
        scores.append(torch.stack(of_layers))
        with torch.no_grad():
            full.append(probability_of(model, projections[0], ids, token)[0])
            zeroed.append(
                torch.stack(
                    [
                        probability_of(model, projection, ids, token, torch.zeros_like)[0]
                        for projection in projections
                    ]
                )
            )
    return Naive(torch.stack(scores), torch.stack(full), torch.stack(zeroed))
