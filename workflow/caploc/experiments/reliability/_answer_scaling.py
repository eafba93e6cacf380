"""Scale neurons where an answer is predicted: 0 suppresses them, 2 enhances them.

Source: Dai et al., Knowledge Neurons in Pretrained Transformers, ACL 2022, section 4.3.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caploc.forward.answer_pass import answer_pass
from caploc.forward.hooks import neurons_passed
from caploc.models.language_model import LanguageModel

__all__ = ["answer_probability", "scaled"]


@contextmanager
def scaled(
    lm: LanguageModel, sets: Tensor, factor: float, positions: Sequence[int]
) -> Iterator[None]:
    """Multiply neurons of whatever runs inside; the weights are not touched.

    Args:
        lm: the model.
        sets: (row, layer, neuron) True where a row's neurons are scaled.
        factor: what they are multiplied by.
        positions: where, the same in every row.
    """
    where = list(positions)

    def scale(layer: int, x: Tensor) -> Tensor:
        factors = torch.where(sets[:, layer], factor, 1.0).to(x)
        x = x.clone()
        x[:, where] *= factors[:, None]
        return x

    with neurons_passed(lm, len(sets), scale):
        yield


@torch.no_grad()
def answer_probability(
    lm: LanguageModel,
    prompt: Sequence[int],
    answer: Sequence[int],
    sets: NDArray[np.bool_],
    factor: float,
    *,
    batch_rows: int = 64,
) -> NDArray[np.float64]:
    """P(answer) with each set of neurons scaled where answer tokens are predicted.

    Args:
        lm: the model.
        prompt: token ids before the answer, at least one.
        answer: token ids of the answer, at least one.
        sets: (set, layer, neuron) True where scaled; an empty set is the unchanged model.
        factor: what these neurons are multiplied by.
        batch_rows: sets in one pass; changes rounding only.

    Returns:
        (set,) mean over the answer tokens of their probability after the gold tokens before them.
    """
    slots = range(len(prompt) - 1, len(prompt) + len(answer) - 1)
    found = []
    for first in range(0, len(sets), batch_rows):
        part = torch.from_numpy(sets[first : first + batch_rows]).to(lm.device)
        with scaled(lm, part, factor, slots):
            p = answer_pass(lm, [(prompt, answer)] * len(part)).logprob.double().exp()
        found.append(p.mean(1).cpu().numpy())
    return np.concatenate(found)
