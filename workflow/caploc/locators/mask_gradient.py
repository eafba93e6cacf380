"""Mask gradient: what an answer owes to every neuron, to first order, against the other tasks.

    slope(l, j) = d log P(answer) / d m(l, j)  at m = 1

m multiplies a neuron at every position, so a slope is the fall of log P, in nat, that silencing the
neuron would cost if the model were linear. One forward and one backward pass a sample.

`locate` gives the slopes of each sample; `score` takes from the own ones the largest of another
task, each in parts of what all FFN neurons are worth to that task. The cheapest locator that looks
at other tasks, so every dearer one must beat it.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from caploc.locating import Given, NeuronScores, stacked
from caploc.locators._masked_passes import batches, contrasted, slopes
from caploc.models.language_model import LanguageModel
from caploc.records import Dropped, Sample

__all__ = ["RANKED", "TITLE", "UNIT", "locate", "score"]

TITLE = "Mask gradient"
UNIT = "ffn neuron"
RANKED = "value"


def locate(
    lm: LanguageModel, samples: Sequence[Sample], *, seed: int = 0
) -> list[NeuronScores | Dropped]:
    """Slope of every neuron for each sample, in nat, or why it was left out; nothing is random."""
    groups, dropped = batches(lm, samples)
    found: dict[int, NeuronScores | Dropped] = {**dropped}
    for which, pairs in groups:
        grids = slopes(lm, pairs, torch.ones(lm.n_layers, len(pairs), lm.n_neurons))
        found |= zip(which, map(NeuronScores, grids), strict=True)
    return [found[i] for i in range(len(samples))]


def score(lm: LanguageModel, given: Given, *, seed: int = 0) -> NDArray[np.float64]:
    """Own slopes less the largest of another task: (1, layer, neuron), in nat.

    Args:
        lm: the model, with its tokenizer.
        given: samples; those of all tasks are compared.
        seed: nothing here is random.

    Raises:
        DataError: no other task, no sample of one fits the model.
    """
    return contrasted(lm, given, lambda samples: stacked(locate(lm, samples)).mean(axis=0))
