"""The baseline `locators.activation_size`."""

import numpy as np
from numpy.typing import NDArray

from caploc.candidates._given import Given, stacked
from caploc.locators import activation_size
from caploc.models.language_model import LanguageModel

__all__ = ["RANKED", "score"]

RANKED = "value"


def score(lm: LanguageModel, given: Given, *, seed: int = 0) -> NDArray[np.float64]:
    """Scores of each sample; nothing here is random."""
    return stacked(activation_size.score(lm, given.own))
