"""Baseline: task-specific neurons by gradient attribution (Leng & Xiong, arXiv 2407.06488).

    score(l, j) = mean over positions of abs(w(l, j) * d(loss) / dw(l, j))

the first-order estimate of how the loss changes if the neuron is set to 0; loss is the mean
cross-entropy of the answer tokens. We read the paper as averaging over all positions of prompt and
answer; no code was compared.
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
    """Score of every neuron for each sample: (layer, neuron), in nat, >= 0, or why left out."""
    results: dict[int, NDArray[np.float64] | Dropped] = {}
    for found in answer_passes(lm, samples, gradients=True):
        if isinstance(found, tuple):
            results[found[0]] = found[1]
            continue
        loss = -(found.logprob.sum(1) / found.n_tokens).sum()
        gradients = torch.autograd.grad(loss, found.neurons)
        share = found.read.double() / found.read.double().sum(1, keepdim=True)
        with torch.no_grad():
            scores = [
                torch.einsum("sp,spj->sj", share, (w * g).double().abs())
                for w, g in zip(found.neurons, gradients, strict=True)
            ]
        grid = torch.stack(scores, dim=1).cpu().numpy()
        results |= dict(zip(found.members, grid, strict=True))
    return [results[i] for i in range(len(samples))]
