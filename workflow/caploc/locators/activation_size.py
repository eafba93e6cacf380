"""Baseline: how much each neuron writes into the residual stream while an answer is predicted.

    size(l, j) = 1/Y sum_m abs(w(l, j; z_m)) * norm(column j of the output projection of layer l)

z_m is the prompt with the gold answer before token m. What the neuron is for plays no part.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from caploc.forward.answer_pass import answer_passes
from caploc.models.language_model import LanguageModel, matrix
from caploc.records import Dropped, Sample

__all__ = ["UNIT", "score"]

UNIT = "baseline neuron"


@torch.no_grad()
def score(lm: LanguageModel, samples: Sequence[Sample]) -> list[NDArray[np.float64] | Dropped]:
    """Size of every neuron for each sample: (layer, neuron), >= 0, or why it was left out."""
    norms = [matrix(p).double().norm(dim=0) for p in lm.projections]
    results: dict[int, NDArray[np.float64] | Dropped] = {}
    for found in answer_passes(lm, samples):
        if isinstance(found, tuple):
            results[found[0]] = found[1]
            continue
        share = found.slots.double() / found.n_tokens[:, None]
        sizes = [
            torch.einsum("sp,spj->sj", share, w.double().abs()) * norm
            for w, norm in zip(found.neurons, norms, strict=True)
        ]
        grid = torch.stack(sizes, dim=1).cpu().numpy()
        results |= dict(zip(found.members, grid, strict=True))
    return [results[i] for i in range(len(samples))]
