"""Baseline of knowledge neurons: the value of the neuron itself in place of its contribution.

A prompt locates the neurons with at least 0.5 times its largest value.

Source: Dai et al., Knowledge Neurons in Pretrained Transformers, ACL 2022, section 4.2, and the
published code.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from caploc.forward.hooks import recorded_neurons
from caploc.measures.knowledge_neurons import select
from caploc.models.language_model import LanguageModel
from caploc.models.tokens import encode
from caploc.records import Dropped, Sample

__all__ = ["UNIT", "Activation", "locate", "located", "per_layer"]

UNIT = "ffn neuron"


@dataclass(frozen=True, slots=True)
class Activation:
    """Baseline scores of one prompt.

    Attributes:
        scores: (layer, neuron) value of the neuron, mean over the answer tokens.
    """

    scores: NDArray[np.float64]


def locate(
    lm: LanguageModel, samples: Sequence[Sample], *, seed: int = 0
) -> list[Activation | Dropped]:
    """The value of every neuron where each answer token is predicted, gold tokens before it.

    Args:
        lm: the model, with its tokenizer.
        samples: prompts with gold answers.
        seed: nothing here is random.

    Returns:
        Per sample its `Activation`, or why it was left out (no answer tokens, too long).
    """
    results: list[Activation | Dropped] = []
    for sample in samples:
        try:
            prompt, answer = encode(lm.tokenizer, sample.prompt, sample.answer, context=lm.context)
        except Dropped as reason:
            results.append(reason)
            continue
        results.append(Activation(_neurons(lm, prompt, answer).mean(1)))
    return results


def located(result: Activation, *, ratio: float = 0.5) -> dict[str, NDArray[np.bool_]]:
    """The located set of one prompt by its name, see `select`."""
    return {f"{ratio:g} x max": select(result.scores, ratio)}


def per_layer(result: Activation) -> list[int]:
    """Number of neurons in each layer."""
    return [result.scores.shape[1]] * result.scores.shape[0]


def _neurons(lm: LanguageModel, prompt: list[int], answer: list[int]) -> NDArray[np.float64]:
    """(layer, answer token, neuron) inputs of the output projections."""
    ids = torch.tensor([[*prompt, *answer[:-1]]], device=lm.device)
    found = recorded_neurons(lm, ids, at=(0, slice(len(prompt) - 1, None)))
    return torch.stack([w.double().cpu() for w in found]).numpy()
