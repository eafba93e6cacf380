"""Log-probability of gold answers with its gradient: the loss of training, and its yardstick."""

from collections.abc import Sequence

import torch
from torch import Tensor

from caploc.models.language_model import LanguageModel

__all__ = ["Encoded", "answer_log_probabilities"]

Encoded = tuple[Sequence[int], Sequence[int]]
"""Token ids of a prompt and of its gold answer, neither empty."""


def answer_log_probabilities(lm: LanguageModel, batch: Sequence[Encoded]) -> list[Tensor]:
    """Natural logarithm of P(y_m | x, y_1 .. y_(m-1)) of every answer token.

    Args:
        lm: the model; gradients flow where the caller enabled them.
        batch: samples, run together; padded on the left, so that answers end side by side and the
            vocabulary is computed for the last positions alone.

    Returns:
        (answer token,) for each sample, at least float32.
    """
    # The last answer token predicts nothing that counts, so it is not read.
    rows = [[*prompt, *answer[:-1]] for prompt, answer in batch]
    length = max(len(row) for row in rows)
    width = max(len(answer) for _, answer in batch)
    device = lm.device
    ids = torch.tensor([[0] * (length - len(row)) + row for row in rows], device=device)
    start = torch.tensor([length - len(row) for row in rows], device=device)
    place = torch.arange(length, device=device)[None] - start[:, None]
    logits = lm.model(
        input_ids=ids,
        attention_mask=(place >= 0).long(),
        position_ids=place.clamp(min=0),
        use_cache=False,
        logits_to_keep=width,
    ).logits
    found = []
    for row, (_, answer) in zip(logits, batch, strict=True):
        wanted = row[-len(answer) :]
        wanted = wanted.to(torch.promote_types(wanted.dtype, torch.float32))
        gold = torch.tensor(list(answer), device=device)
        found.append(torch.log_softmax(wanted, -1).gather(-1, gold[:, None])[:, 0])
    return found
