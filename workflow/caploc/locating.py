"""What locators share: what they may look at, what they return, and sums over ordinary passes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caploc.forward.answer_pass import AnswerPass, answer_passes
from caploc.forward.hooks import Hooks
from caploc.models.language_model import LanguageModel
from caploc.records import DataError, Dropped, Sample

__all__ = [
    "Given",
    "NeuronScores",
    "NothingFits",
    "mean_over_positions",
    "neurons_per_layer",
    "scored",
    "scores_of_task",
    "stacked",
]


class NothingFits(DataError):
    """No sample fits the model, so there is nothing to take a mean of."""

    def __init__(self) -> None:
        super().__init__("no sample fits the model, so no neuron has a score; raise its context")


@dataclass(frozen=True, slots=True)
class Given:
    """What a locator may look at to score neurons for a whole task.

    Attributes:
        own: samples of the task whose neurons are wanted.
        others: of the other tasks, by id.
        neutral: text without a capability; may be empty.
    """

    own: Sequence[Sample]
    others: Mapping[str, Sequence[Sample]]
    neutral: Sequence[Sample]


@dataclass(frozen=True, slots=True)
class NeuronScores:
    """Scores of one sample, where nothing else is known of it.

    Attributes:
        scores: (layer, neuron).
    """

    scores: NDArray[np.float64]


def neurons_per_layer(result: Any) -> list[int]:
    """How many of the flattened scores (layer, neuron) of a result each layer has."""
    n_layers, n_neurons = result.scores.shape
    return [n_neurons] * n_layers


def scored(
    lm: LanguageModel,
    samples: Sequence[Sample],
    of_layers: Callable[[AnswerPass], Sequence[Tensor]],
    *,
    gradients: bool = False,
) -> list[NeuronScores | Dropped]:
    """Scores of every sample from one pass over it.

    Args:
        lm: the model, with its tokenizer.
        samples: prompts with gold answers.
        of_layers: a pass to (sample, neuron) scores of each layer.
        gradients: keep the graph of the pass.

    Returns:
        Per sample its scores, or why it was left out (no answer tokens, too long).
    """
    results: dict[int, NeuronScores | Dropped] = {}
    for found in answer_passes(lm, samples, gradients=gradients):
        if isinstance(found, tuple):
            results[found[0]] = found[1]
            continue
        grids = torch.stack(list(of_layers(found)), dim=1).cpu().numpy()
        results |= zip(found.members, map(NeuronScores, grids), strict=True)
    return [results[i] for i in range(len(samples))]


def stacked(found: Sequence[Any]) -> NDArray[np.float64]:
    """(sample, layer, neuron) scores of the samples that fit the model.

    Args:
        found: per sample a result with `scores`, or why it was left out.

    Raises:
        NothingFits: no sample fits.
    """
    kept = [f.scores for f in found if not isinstance(f, Dropped)]
    if not kept:
        raise NothingFits
    return np.stack([np.asarray(k, dtype=np.float64) for k in kept])


def scores_of_task(
    locator: Any, lm: LanguageModel, given: Given, *, seed: int, **settings: Any
) -> NDArray[np.float64]:
    """(part, layer, neuron) scores of one locator for one task; their mean over parts counts.

    Args:
        locator: a module in `caploc.locators` with `score`, or else with `locate`.
        lm: the model, with its tokenizer.
        given: samples; `locate` sees those of the task alone.
        seed: of what is random in the locator.
        settings: of that function.

    Raises:
        DataError: no sample fits the model, or the locator needs text that is not given.
    """
    if hasattr(locator, "score"):
        parts: NDArray[np.float64] = locator.score(lm, given, seed=seed, **settings)
        return parts
    return stacked(locator.locate(lm, given.own, seed=seed, **settings))


@torch.no_grad()
def mean_over_positions(
    lm: LanguageModel,
    samples: Sequence[Sample],
    of: Callable[[Tensor], Tensor],
    *,
    gates: bool = False,
) -> NDArray[np.float64]:
    """(layer, neuron) mean of a function of the neurons over all positions of all samples.

    Args:
        lm: the model, with its tokenizer.
        samples: prompts with answers; the last answer token is not read.
        of: (sample, position, neuron) values to numbers of the same shape.
        gates: read the first projection, in front of the nonlinearity, in place of the neuron.

    Raises:
        NothingFits: no sample fits the model.
    """
    total = torch.zeros(lm.n_layers, lm.n_neurons, dtype=torch.float64)
    seen: list[Tensor] = []
    n = 0.0
    with Hooks() as hooks:
        for gate in lm.gates if gates else []:
            hooks.after(gate, lambda m, a, out: seen.append(out[..., : lm.n_neurons]))
        for found in answer_passes(lm, samples, neurons=not gates):
            if isinstance(found, tuple):
                continue
            for layer, w in enumerate(seen if gates else found.neurons):
                w = of(w.reshape(*found.read.shape, -1)).double()
                total[layer] += torch.einsum("sp,spj->j", found.read.double(), w).cpu()
            n += float(found.read.sum())
            seen.clear()
    if not n:
        raise NothingFits
    return (total / n).numpy()
