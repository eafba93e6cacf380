"""Baseline: task-specific neurons by gradient attribution (Leng & Xiong, arXiv 2407.06488).

    score(l, j) = mean over positions of abs(w(l, j) * d(loss) / dw(l, j))

the first-order estimate of how the loss changes if the neuron is set to 0; loss is the mean
cross-entropy of the answer tokens. We read the paper as averaging over all positions of prompt and
answer; no code was compared.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from caploc.forward.answer_pass import AnswerPass
from caploc.locating import NeuronScores, scored
from caploc.models.language_model import LanguageModel
from caploc.records import Dropped, Sample

__all__ = ["RANKED", "TITLE", "UNIT", "locate"]

TITLE = "Task neurons"
UNIT = "ffn neuron"
RANKED = "value"


def locate(
    lm: LanguageModel, samples: Sequence[Sample], *, seed: int = 0
) -> list[NeuronScores | Dropped]:
    """Score of every neuron for each sample, in nat, >= 0, or why it was left out."""
    return scored(lm, samples, _estimates, gradients=True)


def _estimates(found: AnswerPass) -> list[Tensor]:
    loss = -(found.logprob.sum(1) / found.n_tokens).sum()
    gradients = torch.autograd.grad(loss, found.neurons)
    share = found.read.double() / found.read.double().sum(1, keepdim=True)
    with torch.no_grad():
        return [
            torch.einsum("sp,spj->sj", share, (w * g).double().abs())
            for w, g in zip(found.neurons, gradients, strict=True)
        ]
