"""Four ways to compute the same scores, for timing side by side.

For one (answer token m, layer l), with all path points as one batch:

`naive`   the whole sequence again for every path point; logits of all positions, as public code for
          knowledge neurons does, or of the last one only
`cached`  one token per path point against a cache of keys and values, through all layers
`ours`    the engine, which does all pairs of a sample at once

The naive and cached forms are given the neuron vectors, so reading them off is not in their time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from caploc.attribution.engine import attribute
from caploc.attribution.rules import path_rule
from caploc.models.language_model import LanguageModel

__all__ = ["Problem", "cached", "naive", "ours", "pair_of_ours", "prepare"]


@dataclass(frozen=True)
class Problem:
    """One sample and what the forms share.

    Attributes:
        neurons: per layer (token, neuron) of the unchanged model, over prompt and answer.
        keys, values: per layer (1, head, token, head width), what a cache would hold.
        points, weights: (point, 1) of the path rule `rule` with `steps`.
    """

    lm: LanguageModel
    prompt: list[int]
    answer: list[int]
    neurons: list[Tensor]
    keys: list[Tensor]
    values: list[Tensor]
    points: Tensor
    weights: Tensor
    rule: str
    steps: int

    @property
    def settings(self) -> dict[str, Any]:
        return {"rule": self.rule, "steps": self.steps}


def prepare(
    lm: LanguageModel, prompt: list[int], answer: list[int], steps: int, rule: str = "inclusive"
) -> Problem:
    """Read off neurons, keys and values with one pass over the whole sequence."""
    neurons: list[Tensor] = []
    handles = [
        p.register_forward_pre_hook(lambda module, args: neurons.append(args[0][0]))
        for p in lm.projections
    ]
    ids = torch.tensor([prompt + answer[:-1]], device=lm.device)
    with torch.no_grad():
        past = lm.model.base_model(input_ids=ids, use_cache=True).past_key_values
    for handle in handles:
        handle.remove()
    path = path_rule(rule, steps)
    wide = torch.promote_types(lm.dtype, torch.float32)
    points, weights = (
        torch.tensor(x, dtype=wide, device=lm.device)[:, None] for x in (path.points, path.weights)
    )
    keys, values = [layer.keys for layer in past.layers], [layer.values for layer in past.layers]
    return Problem(lm, prompt, answer, neurons, keys, values, points, weights, rule, steps)


def naive(problem: Problem, m: int, layer: int, *, last_only: bool) -> Tensor:
    """(neuron,) contribution to answer token m."""
    ids = torch.tensor([problem.prompt + problem.answer[:m]], device=problem.lm.device)
    ids = ids.expand(len(problem.points), -1)
    settings = {"input_ids": ids, "use_cache": False}
    return _integrate(problem, m, layer, settings | ({"logits_to_keep": 1} if last_only else {}))


def cached(problem: Problem, m: int, layer: int) -> Tensor:
    """The same, one token per path point."""
    at = len(problem.prompt) - 1 + m
    n = len(problem.points)
    past = DynamicCache()
    for index, (k, v) in enumerate(zip(problem.keys, problem.values, strict=True)):
        past.update(k[:, :, :at].expand(n, -1, -1, -1), v[:, :, :at].expand(n, -1, -1, -1), index)
    token = (problem.prompt + problem.answer)[at]
    ids = torch.full((n, 1), token, device=problem.lm.device)
    return _integrate(problem, m, layer, {"input_ids": ids, "past_key_values": past})


def _integrate(problem: Problem, m: int, layer: int, settings: dict[str, Any]) -> Tensor:
    lm = problem.lm
    w = problem.neurons[layer][len(problem.prompt) - 1 + m]
    scaled = (problem.points * w).to(w.dtype).requires_grad_(True)

    def put(module: Any, args: tuple[Tensor]) -> tuple[Tensor]:
        full = args[0]
        full[:, -1] = scaled
        return (full,)

    handle = lm.projections[layer].register_forward_pre_hook(put)
    try:
        logits = lm.model(**settings).logits[:, -1]
    finally:
        handle.remove()
    p = torch.softmax(logits.to(problem.weights.dtype), -1)[:, problem.answer[m]]
    (slope,) = torch.autograd.grad(p.sum(), scaled)
    return w * (problem.weights * slope).sum(0)


def ours(problem: Problem, **settings: Any) -> Tensor:
    """(layer, neuron) mean over the answer tokens: all pairs of the sample at once."""
    (found,) = attribute(
        problem.lm, [problem.prompt], [problem.answer], **problem.settings, **settings
    )
    return torch.from_numpy(found.scores)


def pair_of_ours(problem: Problem, m: int) -> Tensor:
    """(layer, neuron) contribution to answer token m alone."""
    (found,) = attribute(
        problem.lm, [problem.prompt + problem.answer[:m]], [problem.answer[m : m + 1]],
        **problem.settings,
    )  # fmt: skip
    return torch.from_numpy(found.scores)


def largest_difference(problem: Problem, pairs: list[tuple[int, int]]) -> dict[str, float]:
    """Of each form from ours over some (token, layer), relative to the pair's largest score."""
    forms: dict[str, Callable[[int, int], Tensor]] = {
        "naive, full logits": lambda m, layer: naive(problem, m, layer, last_only=False),
        "naive, last logits": lambda m, layer: naive(problem, m, layer, last_only=True),
        "cached": lambda m, layer: cached(problem, m, layer),
    }
    worst = dict.fromkeys(forms, 0.0)
    expected = {m: pair_of_ours(problem, m) for m in sorted({m for m, _ in pairs})}
    for m, layer in pairs:
        reference = expected[m][layer].to(problem.weights)
        for name, form in forms.items():
            error = (form(m, layer) - reference).abs().max() / reference.abs().max()
            worst[name] = max(worst[name], error.item())
    return worst
