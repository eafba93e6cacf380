"""One pass over a few samples that keeps the neurons of every layer where answers are predicted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from caploc.models.language_model import LanguageModel
from caploc.models.tokens import encode
from caploc.records import Dropped, Sample

__all__ = ["AnswerPass", "answer_passes"]

_BATCH = 16


@dataclass(frozen=True, slots=True)
class AnswerPass:
    """What a batch left behind.

    Attributes:
        members: index of each sample among those given.
        neurons: per layer (sample, position, neuron) input of the FFN's output projection.
        slots: (sample, position) 1 where the next token belongs to the answer, else 0.
        read: (sample, position) 1 where the position holds a token, 0 for padding.
        logprob: (sample, answer token) log P(y_m | z_m); 0 for padding.
        n_tokens: (sample,) answer tokens.
    """

    members: list[int]
    neurons: list[Tensor]
    slots: Tensor
    read: Tensor
    logprob: Tensor
    n_tokens: Tensor


def answer_passes(
    lm: LanguageModel,
    samples: Sequence[Sample],
    gradients: bool = False,
) -> Iterator[AnswerPass | tuple[int, Dropped]]:
    """Run samples through the model, similar lengths together.

    Args:
        lm: the model, with its tokenizer.
        samples: prompts with gold answers.
        gradients: keep the graph, so that `logprob` can be differentiated by `neurons`.

    Yields:
        A pass, or the index of a sample and why it was left out.
    """
    encoded = {}
    for i, sample in enumerate(samples):
        try:
            encoded[i] = encode(lm.tokenizer, sample.prompt, sample.answer, context=lm.context)
        except Dropped as reason:
            yield i, reason
    order = sorted(encoded, key=lambda i: (sum(map(len, encoded[i])), i))
    for start in range(0, len(order), _BATCH):
        members = order[start : start + _BATCH]
        yield _run(lm, members, [encoded[i] for i in members], gradients)


def _run(
    lm: LanguageModel, members: list[int], pairs: list[tuple[list[int], list[int]]], gradients: bool
) -> AnswerPass:
    read = [[*x, *y[:-1]] for x, y in pairs]
    length, width = max(map(len, read)), max(len(y) for _, y in pairs)
    ids = torch.tensor([r + [0] * (length - len(r)) for r in read], device=lm.device)
    at = [[len(x) - 1 + min(m, len(y) - 1) for m in range(width)] for x, y in pairs]
    targets = torch.tensor([[*y, *[0] * (width - len(y))] for _, y in pairs], device=lm.device)
    n_tokens = torch.tensor([len(y) for _, y in pairs], device=lm.device)
    neurons: list[Tensor] = []

    def before(module: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        # Some blocks flatten samples and positions in front of the FFN.
        x = args[0].reshape(len(ids), -1, args[0].shape[-1])
        # The weights are frozen, so the first layer's neurons begin the graph.
        if gradients and not x.requires_grad:
            x = x.requires_grad_(True)
        neurons.append(x)
        return (x.view(args[0].shape), *args[1:])

    handles = [p.register_forward_pre_hook(before) for p in lm.projections]
    position = torch.tensor(at, device=lm.device)
    row = torch.arange(len(members), device=lm.device)[:, None]
    try:
        with torch.set_grad_enabled(gradients):
            hidden = lm.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
            z = lm.logits(hidden[row, position])
            z = z.to(torch.promote_types(z.dtype, torch.float32))
            found = torch.log_softmax(z, -1).gather(-1, targets[..., None])[..., 0]
            counts = torch.arange(width, device=lm.device) < n_tokens[:, None]
            logprob = found.masked_fill(~counts, 0.0)
    finally:
        for handle in handles:
            handle.remove()
    slots = torch.zeros(ids.shape, dtype=logprob.dtype, device=lm.device)
    slots[row, position] = 1
    lengths = torch.tensor([len(r) for r in read], device=lm.device)
    real = (torch.arange(length, device=lm.device) < lengths[:, None]).to(slots.dtype)
    return AnswerPass(members, neurons, slots, real, logprob, n_tokens)
