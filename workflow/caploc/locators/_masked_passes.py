"""Passes in which every neuron is multiplied by a mask, and what the answer owes to each factor."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caploc.forward.answer_pass import answer_pass
from caploc.forward.batch import Pair
from caploc.forward.hooks import neurons_passed
from caploc.locating import Given, NothingFits
from caploc.measures.contrast import against_others
from caploc.models.language_model import LanguageModel
from caploc.records import DataError, Dropped, Sample

__all__ = ["batches", "contrasted", "masked_logprob", "slopes", "worth"]

Grid = NDArray[np.float64]

_ROWS = 32
"""Most rows in one pass; changes rounding only."""


def masked_logprob(lm: LanguageModel, pairs: Sequence[Pair], masks: Tensor) -> Tensor:
    """(row,) log-probability of the gold answers, in nat, float64.

    Args:
        lm: the model.
        pairs: token ids of prompt and answer of each row.
        masks: (layer, row or 1, neuron) factor of each neuron at every position.
    """

    def scale(layer: int, w: Tensor) -> Tensor:
        return w * masks[layer][:, None]

    with neurons_passed(lm, len(pairs), scale):
        return answer_pass(lm, pairs).total


def slopes(lm: LanguageModel, pairs: Sequence[Pair], masks: Tensor) -> Grid:
    """What the log-probability of each answer owes to each factor, to first order.

    Args:
        lm: the model.
        pairs: token ids of prompt and answer of each row.
        masks: (layer, row, neuron) factors.

    Returns:
        (row, layer, neuron) d log P / d factor, all positions together, in nat.
    """
    factors = masks.to(lm.device, lm.dtype).requires_grad_(True)
    with torch.enable_grad():
        total = masked_logprob(lm, pairs, factors).sum()
        (found,) = torch.autograd.grad(total, factors)
    return found.double().transpose(0, 1).cpu().numpy()


def batches(
    lm: LanguageModel, samples: Sequence[Sample]
) -> tuple[list[tuple[list[int], list[Pair]]], dict[int, Dropped]]:
    """Samples of similar length together, each with its index; and those that do not fit."""
    pairs: dict[int, Pair] = {}
    dropped: dict[int, Dropped] = {}
    for i, sample in enumerate(samples):
        try:
            pairs[i] = lm.encode(sample.prompt, sample.answer)
        except Dropped as reason:
            dropped[i] = reason
    order = sorted(pairs, key=lambda i: (sum(map(len, pairs[i])), i))
    chosen = [order[k : k + _ROWS] for k in range(0, len(order), _ROWS)]
    return [(which, [pairs[i] for i in which]) for which in chosen], dropped


@torch.no_grad()
def worth(lm: LanguageModel, samples: Sequence[Sample]) -> float:
    """Mean fall of log P(answer), in nat, when all FFN neurons are silent.

    Raises:
        NothingFits: no sample fits the model.
    """
    groups, _ = batches(lm, samples)
    if not groups:
        raise NothingFits
    one = torch.ones(lm.n_layers, 1, 1, dtype=lm.dtype, device=lm.device)
    falls = [masked_logprob(lm, p, one) - masked_logprob(lm, p, 0 * one) for _, p in groups]
    return float(torch.cat(falls).mean())


def contrasted(lm: LanguageModel, given: Given, score: Callable[[Sequence[Sample]], Grid]) -> Grid:
    """Own scores against the largest of the other tasks: (1, layer, neuron), in nat.

    Scales of tasks differ many times, so scores of another task count in parts of what all FFN
    neurons are worth to it. A task to which they are worth nothing has nothing to lose.

    Args:
        lm: the model, with its tokenizer.
        given: samples of all tasks.
        score: samples to (layer, neuron) scores, in nat.

    Raises:
        DataError: no other task, or no sample of one fits the model.
    """
    if not given.others:
        raise DataError("no other task to compare with; give at least two tasks")
    scale = max(worth(lm, given.own), 0.0)
    others = {task: (s, worth(lm, s)) for task, s in given.others.items()}
    return against_others(
        score(given.own),
        [scale / value * score(s) if value > 0 else 0 * score(s) for s, value in others.values()],
    )[None]
