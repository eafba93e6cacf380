"""What stages that test planted models share."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caploc.forward.likelihood import answer_likelihood, sample_groups
from caploc.forward.samples import Encoded
from caploc.forward.silencing import Erasure
from caploc.jobs.progress import tracked
from caploc.models.language_model import LanguageModel

__all__ = ["PLACE", "answered"]

PLACE = {"dtype": "float32", "device": "cpu"}
"""Planted models are small: where they run is no setting."""


def answered(
    lm: LanguageModel,
    texts: Encoded,
    grids: Sequence[NDArray[np.bool_]],
    batch_tokens: int = 8192,
    label: str = "",
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """How samples are answered under each erasure.

    Args:
        lm: the model.
        texts: samples.
        grids: (layer, neuron) True where silenced, for each erasure.
        batch_tokens: most tokens in one pass.
        label: what the progress is called; empty: none is shown.

    Returns:
        (grid, sample) log-probability of the gold answer, in nat, and whether it is what greedy
        decoding says.
    """
    logprob = np.zeros((len(grids), len(texts.samples)))
    right = np.zeros(logprob.shape, dtype=np.bool_)
    work: Any = answer_likelihood(
        lm, texts.prompts, texts.answers, [Erasure(g) for g in grids], batch_tokens=batch_tokens
    )
    if label:
        groups = sample_groups(texts.prompts, texts.answers, len(grids), batch_tokens)
        work = tracked(work, len(groups), label)
    for samples, part in work:
        logprob[:, samples], right[:, samples] = part.logprob, part.n_right == part.n_tokens
    return logprob, right
