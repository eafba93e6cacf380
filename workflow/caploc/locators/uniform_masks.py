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

`locate` gives the estimates of each sample, whose mean and spread over samples are what a run
keeps. `score` takes from the own ones the largest of another task, as `mask_gradient` does. Asked
for, it then draws masks for the `pool` of the best neurons alone: half of them uniform, the others
0 with probability 1/4, else 1. So many of its fellows gone, what a backed-up neuron is worth shows,
and the two of a cancelling pair lose what each seems to do. The pool stands first, by this worth.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from caploc.locating import Given, NeuronScores, stacked
from caploc.locators._masked_passes import batches, contrasted, slopes
from caploc.models.language_model import LanguageModel
from caploc.records import Dropped, Sample
from caploc.settings import Count, Natural

__all__ = ["RANKED", "TITLE", "UNIT", "locate", "score"]

TITLE = "Uniform masks"
UNIT = "ffn neuron"
RANKED = "value"
_SILENT = 0.25


def locate(
    lm: LanguageModel,
    samples: Sequence[Sample],
    *,
    groups: Count = 4,
    rounds: Count = 3,
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
    return _worths(lm, samples, groups, rounds, seed, None)


def _worths(
    lm: LanguageModel,
    samples: Sequence[Sample],
    groups: int,
    rounds: int,
    seed: int,
    pool: NDArray[np.bool_] | None,
) -> list[NeuronScores | Dropped]:
    """Worth of every neuron, or of those of a pool, (layer, neuron) True, and 0 for the others."""
    together, dropped = batches(lm, samples)
    found: dict[int, NeuronScores | Dropped] = {**dropped}
    for which, pairs in together:
        total = np.zeros((len(pairs), lm.n_layers, lm.n_neurons))
        # By its id a sample has the same masks in any shard and beside any others.
        keys = [[seed, int(pool is not None), *samples[i].sample_id.encode()] for i in which]
        rngs = [np.random.default_rng(key) for key in keys]
        for drawn, masks in _masks(rngs, total.shape[1:], groups, rounds, pool):
            total += np.where(drawn, slopes(lm, pairs, torch.from_numpy(masks)), 0.0) / rounds
        found |= zip(which, map(NeuronScores, total), strict=True)
    return [found[i] for i in range(len(samples))]


def _masks(
    rngs: Sequence[np.random.Generator],
    grid: tuple[int, ...],
    groups: int,
    rounds: int,
    pool: NDArray[np.bool_] | None,
) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.float32]]]:
    """(row, layer, neuron) True where a factor is drawn; (layer, row, neuron) all factors."""
    for _ in range(rounds):
        group = np.stack([rng.integers(groups, size=grid, dtype=np.int16) for rng in rngs])
        factor = np.stack([rng.random(grid, dtype=np.float32) for rng in rngs])
        rest = np.ones_like(factor)
        if pool is not None:
            silent = np.stack([rng.random(grid, dtype=np.float32) < _SILENT for rng in rngs])
            rest[silent & pool] = 0
        for g in range(groups):
            drawn = (group == g) & (True if pool is None else pool)
            masks = np.where(drawn, factor, rest).transpose(1, 0, 2)
            yield drawn, np.ascontiguousarray(masks)


def score(
    lm: LanguageModel,
    given: Given,
    *,
    groups: Count = 4,
    rounds: Count = 3,
    pool: Natural = 0,
    pool_rounds: Count = 6,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Own worth less the largest of another task, refined for the best: (1, layer, neuron), in nat.

    Args:
        lm: the model, with its tokenizer.
        given: samples; those of all tasks are compared.
        groups: as in `locate`
        rounds: as in `locate`
        pool: neurons that get masks of their own, e.g. 400; 0: none, no worse on planted models
        pool_rounds: rounds of these masks, each two passes over every own sample
        seed: of the masks.

    Raises:
        DataError: no other task, or no sample of one fits the model.
    """

    def mean(samples: Sequence[Sample], **settings: Any) -> NDArray[np.float64]:
        return stacked(_worths(lm, samples, seed=seed, **settings)).mean(axis=0)

    (first,) = contrasted(lm, given, partial(mean, groups=groups, rounds=rounds, pool=None))
    if not pool:
        return first[None]
    best = np.zeros(first.size, dtype=np.bool_)
    best[np.argsort(-first.ravel(), kind="stable")[:pool]] = True
    best = best.reshape(first.shape)
    second = mean(given.own, groups=2, rounds=pool_rounds, pool=best)
    # The others keep their order, behind the pool.
    below = first - max(0.0, float(first.max() - second[best].min()))
    return np.where(best, second, below)[None]
