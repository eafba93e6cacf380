"""Baseline: gradient times activation, the cheap estimate of a contribution.

    score(l, j) = 1/Y sum_m w(l, j; z_m) * d(sum_n P(y_n | z_n)) / dw(l, j; z_m)

One backward pass of the unchanged model in place of a path; w at the position that predicts y_m
also reaches later answer tokens, whose probabilities are in the sum.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from caploc.forward.answer_pass import AnswerPass
from caploc.locating import NeuronScores, scored
from caploc.models.language_model import LanguageModel
from caploc.records import Dropped, Sample

__all__ = ["RANKED", "TITLE", "UNIT", "locate"]

TITLE = "Gradient times activation"
UNIT = "ffn neuron"
RANKED = "distance"


def locate(
    lm: LanguageModel, samples: Sequence[Sample], *, seed: int = 0
) -> list[NeuronScores | Dropped]:
    """Score of every neuron for each sample, in probability, or why it was left out."""
    return scored(lm, samples, _slopes, gradients=True)


def _slopes(found: AnswerPass) -> list[Tensor]:
    # Padding has log-probability 0 and no gradient.
    gradients = torch.autograd.grad(found.logprob.exp().sum(), found.neurons)
    with torch.no_grad():
        return [found.over_answer(w * g) for w, g in zip(found.neurons, gradients, strict=True)]
