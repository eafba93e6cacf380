"""Contrastive size: neurons that write more while this task is read than while any other is.

    size(l, j)  = mean over positions of abs(w(l, j)) * norm(column j of the output projection)
    score(l, j) = log(own size / largest size on another task)

One forward pass. What the neuron is for plays no part, so it may find neurons that a capability
has and does not use.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from caploc.locating import Given, mean_over_positions
from caploc.models.language_model import LanguageModel
from caploc.records import DataError

__all__ = ["RANKED", "TITLE", "UNIT", "score"]

TITLE = "Contrastive size"
UNIT = "ffn neuron"
RANKED = "value"


def score(lm: LanguageModel, given: Given, *, seed: int = 0) -> NDArray[np.float64]:
    """Log of own size by the largest other one: (1, layer, neuron).

    The norm of the column is the same in both, so it cancels.

    Args:
        lm: the model, with its tokenizer.
        given: samples; those of all tasks are compared.
        seed: nothing here is random.

    Raises:
        DataError: no other task, or no sample of one fits the model.
    """
    if not given.others:
        raise DataError("no other task to compare with; give at least two tasks")
    own, *others = (
        mean_over_positions(lm, s, torch.abs) for s in (given.own, *given.others.values())
    )
    least = np.finfo(np.float32).tiny
    return np.log((own + least) / (np.max(others, axis=0) + least))[None]
