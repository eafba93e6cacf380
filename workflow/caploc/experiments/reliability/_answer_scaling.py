"""Scale neurons where an answer is predicted: 0 suppresses them, 2 enhances them.

Source: Dai et al., Knowledge Neurons in Pretrained Transformers, ACL 2022, section 4.3.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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

    def scale(layer: int) -> Any:
        factors = torch.where(sets[:, layer], factor, 1.0).to(lm.device, lm.dtype)

        def hook(module: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            # Some families flatten rows and positions in front of the FFN.
            x = args[0].reshape(len(sets), -1, args[0].shape[-1]).clone()
            x[:, list(positions)] *= factors[:, None]
            return (x.view_as(args[0]), *args[1:])

        return hook

    handles = [p.register_forward_pre_hook(scale(i)) for i, p in enumerate(lm.projections)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


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
    ids = torch.tensor([[*prompt, *answer[:-1]]], device=lm.device)
    slots = [len(prompt) - 1 + m for m in range(len(answer))]
    targets = torch.tensor(list(answer), device=lm.device)
    found = []
    for first in range(0, len(sets), batch_rows):
        part = torch.from_numpy(sets[first : first + batch_rows])
        with scaled(lm, part.to(lm.device), factor, slots):
            hidden = lm.model.base_model(
                input_ids=ids.expand(len(part), -1), use_cache=False
            ).last_hidden_state
        z = lm.logits(hidden[:, slots])
        p = torch.softmax(z.to(torch.promote_types(z.dtype, torch.float32)), -1)
        gold = targets.expand(len(part), -1)[..., None]
        found.append(p.gather(-1, gold)[..., 0].double().mean(1).cpu().numpy())
    return np.concatenate(found)
