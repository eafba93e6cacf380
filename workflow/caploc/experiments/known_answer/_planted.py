"""What stages that test planted models share."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caploc.forward.likelihood import answer_likelihood
from caploc.forward.samples import Encoded
from caploc.forward.silencing import Erasure
from caploc.models.language_model import LanguageModel

__all__ = ["PLACE", "right"]

PLACE = {"dtype": "float32", "device": "cpu"}
"""Planted models are small: where they run is no setting."""


def right(
    lm: LanguageModel, texts: Encoded, grids: Sequence[NDArray[np.bool_]], batch_tokens: int = 8192
) -> list[float]:
    """Share of samples whose gold answer is what greedy decoding says, under each erasure.

    Args:
        lm: the model.
        texts: samples.
        grids: (layer, neuron) True where silenced, for each erasure.
        batch_tokens: most tokens in one pass.
    """
    total = np.zeros(len(grids))
    work: Any = answer_likelihood(
        lm, texts.prompts, texts.answers, [Erasure(g) for g in grids], batch_tokens=batch_tokens
    )
    for _, part in work:
        total += (part.n_right == part.n_tokens).sum(axis=1)
    return (total / max(len(texts.samples), 1)).tolist()
