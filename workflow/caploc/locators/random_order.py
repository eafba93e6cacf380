"""Random numbers: what no method must fall below."""

import numpy as np
from numpy.typing import NDArray

from caploc.locating import Given
from caploc.models.language_model import LanguageModel

__all__ = ["RANKED", "TITLE", "UNIT", "score"]

TITLE = "Random order"
UNIT = "ffn neuron"
RANKED = "value"


def score(lm: LanguageModel, given: Given, *, seed: int = 0) -> NDArray[np.float64]:
    """Uniform numbers: (1, layer, neuron)."""
    return np.random.default_rng(seed).random((1, lm.n_layers, lm.n_neurons))
