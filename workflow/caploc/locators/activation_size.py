"""Baseline: how much each neuron writes into the residual stream while an answer is predicted.

    size(l, j) = 1/Y sum_m abs(w(l, j; z_m)) * norm(column j of the output projection of layer l)

z_m is the prompt with the gold answer before token m. What the neuron is for plays no part.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from caploc.forward.answer_pass import AnswerPass
from caploc.locating import NeuronScores, scored
from caploc.models.language_model import LanguageModel, matrix
from caploc.records import Dropped, Sample

__all__ = ["RANKED", "TITLE", "UNIT", "locate"]

TITLE = "Largest activations"
UNIT = "ffn neuron"
RANKED = "value"


@torch.no_grad()
def locate(
    lm: LanguageModel, samples: Sequence[Sample], *, seed: int = 0
) -> list[NeuronScores | Dropped]:
    """Size of every neuron for each sample, >= 0, or why it was left out; nothing is random."""
    norms = [matrix(p).double().norm(dim=0) for p in lm.projections]

    def sizes(found: AnswerPass) -> list[Tensor]:
        return [
            found.over_answer(w.abs()) * norm for w, norm in zip(found.neurons, norms, strict=True)
        ]

    return scored(lm, samples, sizes)
