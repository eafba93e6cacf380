"""Log-probability of gold answers under many erasures.

log P(y | x) = sum_m log P(y_m | x, y_1..y_(m-1)), teacher-forced on the gold answer. What the
erasures have in common is computed once, see `shared_prefix`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caploc.forward.batch import batch_of, gold
from caploc.forward.shared_prefix import Unchanged, record_unchanged
from caploc.forward.silencing import Erasure, Erasures
from caploc.models.language_model import LanguageModel

__all__ = ["Likelihood", "answer_likelihood", "sample_groups"]

# Logits held at once: 128 MiB of float32.
_LOGITS = 1 << 25
_BATCH = 16
"""Most samples that are recorded together; more pad more."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """What a model thinks of gold answers.

    Attributes:
        logprob: (erasure, sample) log-probability of the whole answer, in nat.
        n_right: (erasure, sample) answer tokens that are the likeliest ones. All of them are if,
            and only if, greedy decoding says the gold answer.
        n_tokens: (sample,) answer tokens.
    """

    logprob: NDArray[np.float64]
    n_right: NDArray[np.int32]
    n_tokens: NDArray[np.int32]


@torch.no_grad()
def answer_likelihood(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    answers: Sequence[Sequence[int]],
    erasures: Sequence[Erasure],
    *,
    batch_tokens: int = 4096,
) -> Iterator[tuple[list[int], Likelihood]]:
    """Score gold answers under every erasure.

    Args:
        lm: the model.
        prompts: token ids before the answer, at least one each.
        answers: token ids of the gold answer, at least one each.
        erasures: what is silenced; an erasure of no neuron is the unchanged model.
        batch_tokens: most tokens (rows x positions) in one pass; bounds memory, changes rounding
            only. One row is always allowed.

    Yields:
        (indices of samples, their `Likelihood`), similar lengths together, until every sample had
        its turn.

    Raises:
        ValueError: unequal numbers of prompts and answers, an empty one, or a bad budget.
    """
    if len(prompts) != len(answers) or batch_tokens < 1:
        raise ValueError(
            f"{len(prompts)} prompts, {len(answers)} answers, {batch_tokens} tokens: expected "
            "equal numbers and at least 1 token"
        )
    if any(not len(x) for x in (*prompts, *answers)):
        raise ValueError("a sample needs at least one prompt token and one answer token")
    tensors = Erasures(lm, erasures)
    for chosen in sample_groups(prompts, answers, len(erasures), batch_tokens):
        batch = batch_of([(prompts[i], answers[i]) for i in chosen], lm.device)
        yield chosen, _scored(record_unchanged(lm, batch, tensors), batch_tokens)


def sample_groups(
    prompts: Sequence[Sequence[int]],
    answers: Sequence[Sequence[int]],
    n_erasures: int,
    batch_tokens: int,
) -> list[list[int]]:
    """Which samples `answer_likelihood` yields together.

    Samples of unequal length go together, and are padded, only while too few of one length are
    there to fill a pass.

    Args:
        prompts: token ids of each prompt.
        answers: token ids of each answer.
        n_erasures: rows for each sample.
        batch_tokens: most tokens in one pass.
    """
    lengths = [len(x) + len(y) for x, y in zip(prompts, answers, strict=True)]
    order = sorted(range(len(prompts)), key=lambda i: (lengths[i], len(answers[i]), i))
    groups: list[list[int]] = []
    for i in order:
        last = groups[-1] if groups else []
        full = len(last) * n_erasures * lengths[i] >= batch_tokens
        if not last or len(last) == _BATCH or (full and lengths[i] > lengths[last[-1]]):
            groups.append([])
        groups[-1].append(i)
    return groups


def _scored(unchanged: Unchanged, batch_tokens: int) -> Likelihood:
    batch, erasures = unchanged.batch, unchanged.erasures
    n_samples, length = batch.ids.shape
    n = len(erasures.first)
    logprob = torch.zeros(n, n_samples, dtype=torch.float64)
    n_right = torch.zeros(n, n_samples, dtype=torch.int32)
    samples = torch.arange(n_samples, device=batch.ids.device)
    kinds = list(zip(erasures.first, erasures.with_heads, strict=True))
    step = max(1, batch_tokens // (n_samples * length))
    n_rows = max(1, batch_tokens // length)
    for kind in sorted(set(kinds)):
        which = [i for i in range(n) if kinds[i] == kind]
        for part in (which[k : k + step] for k in range(0, len(which), step)):
            # Ordered (erasure, sample).
            rows = torch.tensor(part, device=samples.device).repeat_interleave(n_samples)
            pairs = zip(rows.split(n_rows), samples.repeat(len(part)).split(n_rows), strict=True)
            for row, sample in pairs:
                index = (row.cpu(), sample.cpu())
                logprob[index], n_right[index] = _judged(unchanged, row, sample)
    return Likelihood(logprob.numpy(), n_right.numpy(), batch.n_tokens.int().cpu().numpy())


def _judged(unchanged: Unchanged, rows: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
    """(row,) log-probability of the answer; (row,) tokens that are the likeliest."""
    lm, batch = unchanged.lm, unchanged.batch.rows(samples)
    states = unchanged.states(rows, samples)
    logprob, right = [], []
    step = max(1, _LOGITS // (len(lm.head.weight) * batch.targets.shape[1]))
    for x, targets, counts in zip(
        states.split(step), batch.targets.split(step), batch.counts.split(step), strict=True
    ):
        logits = lm.logits(lm.final_norm(x))
        logprob.append(gold(logits, targets).masked_fill(~counts, 0.0).double().sum(1).cpu())
        right.append(((logits.argmax(-1) == targets) & counts).sum(1).int().cpu())
    return torch.cat(logprob), torch.cat(right)
