"""CNL: path-integrated contribution to the probability of the answer (`locators.cnl`)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from caploc.candidates._given import Given, stacked
from caploc.locators import cnl
from caploc.models.language_model import LanguageModel

__all__ = ["RANKED", "score"]

RANKED = "distance"


def score(
    lm: LanguageModel, given: Given, *, seed: int = 0, subtract: bool = False, **settings: Any
) -> NDArray[np.float64]:
    """Contributions of each sample.

    Args:
        lm: the model, with its tokenizer.
        given: samples.
        seed: of `cnl.locate`.
        subtract: take the mean contribution on neutral text away.
        settings: of `cnl.locate`.
    """
    own = stacked(cnl.locate(lm, given.own, seed=seed, **settings))
    if subtract:
        own -= stacked(cnl.locate(lm, given.neutral, seed=seed, **settings)).mean(axis=0)
    return own
