"""Uniform masks: what a neuron is worth while others are weakened too, against the other tasks.

    worth(l, j) = E [ log P(answer | m_j = 1) - log P(answer | m_j = 0) ]

over random masks m of all other neurons: each is 1, or with probability 1/groups uniform in [0, 1).
A neuron that another one backs up has a worth too, and the model stays near its ordinary state
(masks near 0 are far from it). By the fundamental theorem the expectation is that of

    d log P(answer) / d m_j  where m_j is uniform in [0, 1)

so one backward pass estimates it for every neuron whose factor is uniform. In a round the neurons
are split at random into `groups`; pass g of the round draws the factors of group g. Each neuron has
its turn exactly once in a round, and every sample has masks of its own. After uniform gradient
sampling (arXiv 2409.09951), which learns masks of edges so; no code was compared.

`locate` gives the estimates of each sample, whose mean and spread over samples are what the run
keeps. `score` takes from the own ones the largest of another task, as `mask_gradient` does.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caploc.locating import Given, NeuronScores, stacked
from caploc.locators._masked_passes import batches, contrasted, slopes
from caploc.models.language_model import LanguageModel
from caploc.records import Dropped, Sample
from caploc.settings import Count

__all__ = ["RANKED", "TITLE", "UNIT", "locate", "score"]

TITLE = "Uniform masks"
UNIT = "ffn neuron"
RANKED = "value"


def locate(
    lm: LanguageModel,
    samples: Sequence[Sample],
    *,
    groups: Count = 4,
    rounds: Count = 1,
    seed: int = 0,
) -> list[NeuronScores | Dropped]:
    """Worth of every neuron for each sample, in nat, or why it was left out.

    Args:
        lm: the model, with its tokenizer.
        samples: prompts with gold answers.
        groups: one neuron in this many is weakened at a time
        rounds: passes over all groups; a sample costs groups x rounds forward and backward passes
        seed: of the masks, together with the id of the sample.
    """
    groupings, dropped = batches(lm, samples)
    found: dict[int, NeuronScores | Dropped] = {**dropped}
    for which, pairs in groupings:
        total = np.zeros((len(pairs), lm.n_layers, lm.n_neurons))
        names = [samples[i].sample_id for i in which]
        for drawn, masks in _masks(lm, names, groups, rounds, seed):
            total += np.where(drawn, slopes(lm, pairs, masks), 0.0) / rounds
        found |= zip(which, map(NeuronScores, total), strict=True)
    return [found[i] for i in range(len(samples))]


def _masks(
    lm: LanguageModel, names: Sequence[str], groups: int, rounds: int, seed: int
) -> Iterator[tuple[NDArray[np.bool_], Tensor]]:
    """(row, layer, neuron) True where a factor is drawn; (layer, row, neuron) all factors."""
    grid = (lm.n_layers, lm.n_neurons)
    # By its id a sample has the same masks in any shard and beside any others.
    rngs = [np.random.default_rng([seed, *name.encode()]) for name in names]
    for _ in range(rounds):
        group = np.stack([rng.integers(groups, size=grid, dtype=np.int16) for rng in rngs])
        factor = np.stack([rng.random(grid, dtype=np.float32) for rng in rngs])
        for g in range(groups):
            drawn = group == g
            masks = np.where(drawn, factor, np.float32(1)).transpose(1, 0, 2)
            yield drawn, torch.from_numpy(np.ascontiguousarray(masks))


def score(
    lm: LanguageModel, given: Given, *, groups: Count = 4, rounds: Count = 1, seed: int = 0
) -> NDArray[np.float64]:
    """Own worth less the largest of another task: (1, layer, neuron), in nat.

    Args:
        lm: the model, with its tokenizer.
        given: samples; those of all tasks are compared.
        groups: as in `locate`
        rounds: as in `locate`
        seed: of the masks.

    Raises:
        DataError: no other task, no sample of one fits the model.
    """

    def mean(samples: Sequence[Sample]) -> NDArray[np.float64]:
        return stacked(locate(lm, samples, groups=groups, rounds=rounds, seed=seed)).mean(axis=0)

    return contrasted(lm, given, mean)
