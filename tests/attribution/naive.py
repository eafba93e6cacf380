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
    module: Any,
    ids: list[int],
    token: int,
    change: Callable[[Tensor], Tensor] = lambda w: w,
    site: str = "post",
    width: int | None = None,
) -> tuple[Tensor, Tensor]:
    """P(token | ids) with the neurons w at the last position replaced by change(w), and the w.

    The neurons are the input of `module` (site post) or its output (site pre), the first `width`
    numbers of it if that is given.
    """
    seen: list[Tensor] = []

    def replaced(x: Tensor) -> Tensor:
        full = x.clone()
        # Some families flatten batch and positions in front of the FFN.
        last = (full[-1:] if full.dim() == 2 else full[:, -1])[:, :width]
        seen.append(last[0].detach().clone())
        last[0] = change(seen[-1])
        return full

    if site == "post":
        handle = module.register_forward_pre_hook(lambda _, args: (replaced(args[0]),))
    else:
        handle = module.register_forward_hook(lambda _, args, output: replaced(output))
    try:
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
    finally:
        handle.remove()
    return torch.softmax(logits, -1)[token], seen[0]


def naive_scores(
    model: Any,
    modules: list[Any],
    prompt: list[int],
    answer: list[int],
    points: list[float],
    weights: list[float],
    site: str = "post",
    width: int | None = None,
    nodes: Callable[[int, int], tuple[list[float], list[float]]] | None = None,
) -> Naive:
    """All scores of one sample; a module per layer, see `probability_of`.

    `nodes` gives points and weights of an answer token and layer, in place of the same everywhere.
    """
    scores, full, zeroed = [], [], []
    for m, token in enumerate(answer):
        ids = prompt + answer[:m]
        of_layers = []
        for layer, module in enumerate(modules):
            if nodes is not None:
                points, weights = nodes(m, layer)
            _, w = probability_of(model, module, ids, token, site=site, width=width)
            total = torch.zeros_like(w)
            for point, weight in zip(points, weights, strict=True):
                scaled = (point * w).requires_grad_(True)
                with torch.enable_grad():
                    p, _ = probability_of(
                        model, module, ids, token, lambda _, value=scaled: value, site, width
                    )
                total += weight * torch.autograd.grad(p, scaled)[0]
            of_layers.append(w * total)
        scores.append(torch.stack(of_layers))
        with torch.no_grad():
            full.append(probability_of(model, modules[0], ids, token, site=site, width=width)[0])
            zeroed.append(
                torch.stack(
                    [
                        probability_of(model, module, ids, token, torch.zeros_like, site, width)[0]
                        for module in modules
                    ]
                )
            )
    return Naive(torch.stack(scores), torch.stack(full), torch.stack(zeroed))
