"""One pass over prompts with their gold answers: log-probabilities, and neurons if wanted.

What acts on the model meanwhile (silencing, scaling, training slices) is the caller's context.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from caploc.forward.batch import Batch, Pair, batch_of, gold, is_full
from caploc.forward.hooks import neurons_passed
from caploc.models.language_model import LanguageModel
from caploc.records import Dropped, Sample

__all__ = ["AnswerPass", "answer_pass", "answer_passes"]

_BATCH = 16


@dataclass(frozen=True, slots=True)
class AnswerPass:
    """What a batch left behind.

    Attributes:
        batch: what was read.
        logprob: (row, answer token) log P(y_m | x, y_1 .. y_(m-1)), in nat; 0 for padding.
        is_best: (row, answer token) whether it is the likeliest one; False for padding.
        neurons: per layer (row, position, neuron) input of the FFN's output projection; empty
            unless they were asked for.
        members: index of each row among the samples given to `answer_passes`.
    """

    batch: Batch
    logprob: Tensor
    is_best: Tensor
    neurons: list[Tensor] = field(default_factory=list)
    members: list[int] = field(default_factory=list)

    @property
    def total(self) -> Tensor:
        """(row,) log-probability of the whole answer, in nat, float64."""
        return self.logprob.double().sum(1)

    @property
    def n_tokens(self) -> Tensor:
        """(row,) answer tokens."""
        return self.batch.n_tokens

    @property
    def slots(self) -> Tensor:
        """(row, position) 1 where the next token belongs to the answer, else 0."""
        return self.batch.answering.to(self.logprob.dtype)

    def over_answer(self, values: Tensor) -> Tensor:
        """(row, neuron) mean of (row, position, neuron) values where the answer is predicted."""
        share = self.slots.double() / self.n_tokens[:, None]
        return torch.einsum("sp,spj->sj", share, values.double())

    @property
    def read(self) -> Tensor:
        """(row, position) 1 where the position holds a token, 0 for padding."""
        return self.batch.read.to(self.logprob.dtype)


def answer_pass(lm: LanguageModel, pairs: Sequence[Pair], *, neurons: bool = False) -> AnswerPass:
    """Run pairs of a prompt and its answer together.

    Args:
        lm: the model; gradients flow where the caller enabled them.
        pairs: token ids, neither empty.
        neurons: keep those of every layer; with gradients, `logprob` can be differentiated by them.
    """
    batch = batch_of(pairs, lm.device)
    kept: list[Tensor] = []

    def keep(layer: int, w: Tensor) -> Tensor:
        # The weights are frozen, so the first layer's neurons begin the graph.
        if torch.is_grad_enabled() and not w.requires_grad:
            w = w.requires_grad_(True)
        kept.append(w)
        return w

    with neurons_passed(lm, len(batch.ids), keep, None if neurons else []):
        hidden = lm.model.base_model(input_ids=batch.ids, use_cache=False).last_hidden_state
    logits = lm.logits(batch.at_answer(hidden))
    logprob = gold(logits, batch.targets).masked_fill(~batch.counts, 0.0)
    return AnswerPass(batch, logprob, (logits.argmax(-1) == batch.targets) & batch.counts, kept)


def answer_passes(
    lm: LanguageModel,
    samples: Sequence[Sample],
    gradients: bool = False,
    *,
    neurons: bool = True,
    batch: int = _BATCH,
) -> Iterator[AnswerPass | tuple[int, Dropped]]:
    """Run samples through the model, similar lengths together.

    Args:
        lm: the model, with its tokenizer.
        samples: prompts with gold answers.
        gradients: keep the graph, so that `logprob` can be differentiated by `neurons`.
        neurons: keep the neurons of every layer.
        batch: most samples in one pass, fewer where they are long. Changes rounding only.

    Yields:
        A pass, or the index of a sample and why it was left out (no answer tokens, too long).
    """
    encoded = {}
    for i, sample in enumerate(samples):
        try:
            encoded[i] = lm.encode(sample.prompt, sample.answer)
        except Dropped as reason:
            yield i, reason
    lengths = {i: sum(map(len, pair)) for i, pair in encoded.items()}
    groups: list[list[int]] = [[]]
    for i in sorted(encoded, key=lambda i: (lengths[i], i)):
        if is_full(len(groups[-1]) + 1, lengths[i], batch):
            groups.append([])
        groups[-1].append(i)
    for members in filter(None, groups):
        with torch.set_grad_enabled(gradients):
            found = answer_pass(lm, [encoded[i] for i in members], neurons=neurons)
        yield replace(found, members=members)
