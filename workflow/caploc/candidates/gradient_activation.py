"""The baseline `locators.gradient_activation`."""

import numpy as np
from numpy.typing import NDArray

from caploc.candidates._given import Given, stacked
from caploc.locators import gradient_activation
from caploc.models.language_model import LanguageModel

__all__ = ["RANKED", "score"]

RANKED = "distance"


def score(lm: LanguageModel, given: Given, *, seed: int = 0) -> NDArray[np.float64]:
    """Scores of each sample; nothing here is random."""
    return stacked(gradient_activation.score(lm, given.own))
