"""Baseline: gradient times activation, the cheap estimate of a contribution.

    score(l, j) = 1/Y sum_m w(l, j; z_m) * d(sum_n P(y_n | z_n)) / dw(l, j; z_m)

One backward pass of the unchanged model in place of a path; w at the position that predicts y_m
also reaches later answer tokens, whose probabilities are in the sum.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from caploc.forward.answer_pass import answer_passes
from caploc.models.language_model import LanguageModel
from caploc.records import Dropped, Sample

__all__ = ["UNIT", "score"]

UNIT = "baseline neuron"


def score(lm: LanguageModel, samples: Sequence[Sample]) -> list[NDArray[np.float64] | Dropped]:
    """Score of every neuron for each sample: (layer, neuron), in probability, or why left out."""
    results: dict[int, NDArray[np.float64] | Dropped] = {}
    for found in answer_passes(lm, samples, gradients=True):
        if isinstance(found, tuple):
            results[found[0]] = found[1]
            continue
        # Padding has log-probability 0 and no gradient.
        gradients = torch.autograd.grad(found.logprob.exp().sum(), found.neurons)
        share = found.slots.double() / found.n_tokens[:, None]
        with torch.no_grad():
            scores = [
                torch.einsum("sp,spj->sj", share, (w * g).double())
                for w, g in zip(found.neurons, gradients, strict=True)
            ]
        grid = torch.stack(scores, dim=1).cpu().numpy()
        results |= dict(zip(found.members, grid, strict=True))
    return [results[i] for i in range(len(samples))]
