"""Knowledge neurons refined over samples: the share of prompts that locate a neuron.

Each prompt locates as `locators.kn` does. Refinement keeps the neurons above a share of the
prompts; ranking by that share needs no threshold.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from caploc.candidates._given import Given, stacked
from caploc.locators import kn
from caploc.models.language_model import LanguageModel

__all__ = ["RANKED", "score"]

RANKED = "value"


def score(
    lm: LanguageModel, given: Given, *, seed: int = 0, ratio: float = 0.2, **settings: Any
) -> NDArray[np.float64]:
    """1 where a sample locates a neuron, else 0.

    Args:
        lm: the model, with its tokenizer.
        given: samples.
        seed: of `kn.locate`.
        ratio: of `kn.select`.
        settings: of `kn.locate`.
    """
    scores = stacked(kn.locate(lm, given.own, seed=seed, **settings))
    return np.stack([kn.select(grid, ratio) for grid in scores]).astype(np.float64)
