"""Baseline of knowledge neurons: the value of the neuron itself in place of its contribution.

A prompt locates the neurons with at least 0.5 times its largest value.

Source: Dai et al., Knowledge Neurons in Pretrained Transformers, ACL 2022, section 4.2, and the
published code.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from caploc.locating import NeuronScores, neurons_per_layer, scored
from caploc.measures.knowledge_neurons import select
from caploc.models.language_model import LanguageModel
from caploc.records import Dropped, Sample
from caploc.settings import Share

__all__ = ["RANKED", "TITLE", "UNIT", "locate", "located", "per_layer"]

TITLE = "Activation (baseline)"
UNIT = "ffn neuron"
RANKED = "value"
per_layer = neurons_per_layer


def locate(
    lm: LanguageModel, samples: Sequence[Sample], *, seed: int = 0
) -> list[NeuronScores | Dropped]:
    """The value of every neuron, mean over the answer tokens, gold tokens before each.

    Args:
        lm: the model, with its tokenizer.
        samples: prompts with gold answers.
        seed: nothing here is random.

    Returns:
        Per sample its scores, or why it was left out (no answer tokens, too long).
    """
    return scored(lm, samples, lambda found: [found.over_answer(w) for w in found.neurons])


def located(result: NeuronScores, *, ratio: Share = 0.5) -> dict[str, NDArray[np.bool_]]:
    """The located set of one prompt by its name, see `select`.

    Args:
        result: of the prompt.
        ratio: located from this share of the largest value of the prompt
    """
    return {f"{ratio:g} x max": select(result.scores, ratio)}
