"""Log-probability of gold answers under many erasures, with the work they have in common done once.

log P(y | x) = sum_m log P(y_m | x, y_1..y_(m-1)), teacher-forced on the gold answer. Rows of a pass
are pairs of an erasure and a sample. Four parts of the model are not run for every row:

- blocks in front of the first silenced layer: one pass of the unchanged model is recorded;
- the attention of that layer, which is still that of the unchanged model;
- the FFN of that layer: its neurons are those of the unchanged model, so its output is the recorded
  one minus what the silenced neurons wrote;
- the FFN of the last layer at positions that predict no answer token.

Where heads are silenced too, the second and third do not hold and that layer is run as it is.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from caploc.forward.silencing import Erasure, Erasures, erased
from caploc.models.language_model import LanguageModel, matrix

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
        batch = _batch(lm, [prompts[i] for i in chosen], [answers[i] for i in chosen])
        yield chosen, _scored(lm, batch, tensors, batch_tokens)


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


@dataclass(frozen=True, slots=True)
class _Batch:
    """Samples padded on the right, where a causal model cannot see it.

    Attributes:
        ids: (sample, position) tokens; the last answer token is not read.
        slots: (sample, answer token) position that predicts it; padding repeats the last one.
        targets: (sample, answer token).
        counts: (sample, answer token) False for padding.
    """

    ids: Tensor
    slots: Tensor
    targets: Tensor
    counts: Tensor


def _batch(lm: LanguageModel, prompts: list[Sequence[int]], answers: list[Sequence[int]]) -> _Batch:
    read = [[*x, *y[:-1]] for x, y in zip(prompts, answers, strict=True)]
    length, width = max(map(len, read)), max(map(len, answers))

    def tensor(rows: list[list[int]]) -> Tensor:
        return torch.tensor(rows, device=lm.device)

    slots = [
        [len(x) - 1 + min(m, len(y) - 1) for m in range(width)]
        for x, y in zip(prompts, answers, strict=True)
    ]
    return _Batch(
        tensor([ids + [0] * (length - len(ids)) for ids in read]),
        tensor(slots),
        tensor([[*y, *[0] * (width - len(y))] for y in answers]),
        tensor([[int(m < len(y)) for m in range(width)] for y in answers]).bool(),
    )


@dataclass(slots=True)
class _Recorded:
    """The unchanged model: how a block was called, and what its parts answered.

    Attributes:
        args: arguments of the block.
        kwargs: of the block.
        attended: output of the module of its attention; None where that is unknown.
        neurons: (sample, position, neuron) input of its FFN's output projection.
        written: (sample, position, width) output of its FFN.
    """

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] | None = None
    attended: Any = None
    neurons: Tensor | None = None
    written: Tensor | None = None


def _scored(lm: LanguageModel, batch: _Batch, erasures: Erasures, batch_tokens: int) -> Likelihood:
    n_samples, length = batch.ids.shape
    n = len(erasures.first)
    logprob = torch.zeros(n, n_samples, dtype=torch.float64)
    n_right = torch.zeros(n, n_samples, dtype=torch.int32)
    hidden, recorded = _record(lm, batch, sorted(set(erasures.first)))
    samples = torch.arange(n_samples, device=lm.device)
    kinds = list(zip(erasures.first, erasures.with_heads, strict=True))
    for layer, with_heads in sorted(set(kinds)):
        calls = recorded[layer]
        which = [i for i in range(n) if kinds[i] == (layer, with_heads)]
        step = max(1, batch_tokens // (n_samples * length))
        n_rows = max(1, batch_tokens // length)
        for part in (which[k : k + step] for k in range(0, len(which), step)):
            # Ordered (erasure, sample).
            rows = torch.tensor(part, device=lm.device).repeat_interleave(n_samples)
            where = samples.repeat(len(part))
            for piece in (slice(k, k + n_rows) for k in range(0, len(rows), n_rows)):
                run = _Rows(lm, batch, erasures, rows[piece], where[piece])
                x = hidden if layer == lm.n_layers else None
                states = x[where[piece]] if x is not None else run.through_blocks(calls, layer)
                p, right = _judged(lm, batch, states, where[piece])
                index = (rows[piece].cpu(), where[piece].cpu())
                logprob[index], n_right[index] = p, right
    return Likelihood(
        logprob.numpy(), n_right.numpy(), batch.counts.sum(1).cpu().numpy().astype(np.int32)
    )


def _record(
    lm: LanguageModel, batch: _Batch, layers: list[int]
) -> tuple[Tensor, dict[int, dict[int, _Recorded]]]:
    """Run the unchanged model once.

    Returns:
        (sample, answer token, width) output of the last block at the slots; for each first layer
        the calls of it and of the blocks behind it.
    """
    calls = [_Recorded() for _ in range(lm.n_layers)]
    output: list[Tensor] = []
    handles = []

    def before_block(layer: int) -> Any:
        def hook(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
            # The residual stream is needed where rows begin, the rest of the call everywhere.
            calls[layer].args = args if layer in layers else (None, *args[1:])
            calls[layer].kwargs = kwargs

        return hook

    def keep(layer: int, name: str, position: int) -> Any:
        def hook(module: Any, *found: Any) -> None:
            value = found[position]
            value = value[0] if isinstance(value, tuple) else value
            # Some families flatten samples and positions in front of the FFN; Falcon adds to its
            # output in place.
            setattr(calls[layer], name, value.reshape(*batch.ids.shape, -1).clone())

        return hook

    def keep_attended(layer: int) -> Any:
        def hook(module: Any, args: Any, found: Any) -> None:
            calls[layer].attended = found

        return hook

    last = lm.blocks[-1].register_forward_hook(lambda m, a, out: output.append(_first_of(out)))
    handles.append(last)
    for layer, block in enumerate(lm.blocks):
        handles.append(block.register_forward_pre_hook(before_block(layer), with_kwargs=True))
        ffn, attention = _parent(lm, layer, lm.family.ffn_out), _attention(lm, layer)
        if layer in layers and attention is not None:
            handles.append(attention.register_forward_hook(keep_attended(layer)))
        if layer in layers and ffn is not None:
            projection = lm.projections[layer]
            handles.append(projection.register_forward_pre_hook(keep(layer, "neurons", 0)))
            handles.append(ffn.register_forward_hook(keep(layer, "written", 1)))
    try:
        lm.model.base_model(input_ids=batch.ids, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    sample = torch.arange(len(batch.ids), device=lm.device)[:, None]
    behind = {layer: {k: calls[k] for k in range(layer, lm.n_layers)} for layer in layers}
    return output[0][sample, batch.slots], behind


@dataclass(frozen=True, slots=True)
class _Rows:
    """Pairs of an erasure and a sample that travel together."""

    lm: LanguageModel
    batch: _Batch
    erasures: Erasures
    rows: Tensor
    where: Tensor

    def through_blocks(self, calls: dict[int, _Recorded], first: int) -> Tensor:
        """(row, answer token, width) output of the last block at the slots."""
        lm, last = self.lm, self.lm.n_layers - 1
        x = calls[first].args[0][self.where]
        slots = self.batch.slots[self.where]
        answering = torch.zeros(x.shape[:2], dtype=torch.bool, device=x.device)
        answering.scatter_(1, slots, True)
        for layer in range(first, lm.n_layers):
            call = calls[layer]
            args = self._expanded(call.args[1:])
            kwargs = self._expanded(call.kwargs)
            ffn = _parent(lm, layer, lm.family.ffn_out)
            is_known = layer == first and not self.erasures.with_heads[int(self.rows[0])]
            if is_known and call.written is not None and ffn is not None:
                answers = [(ffn, self._written(call, first, answering))]
                attention = _attention(lm, layer)
                if attention is not None and call.attended is not None:
                    answers.append((attention, self._expanded(call.attended)))
                with _answered(answers):
                    output = lm.blocks[layer](x, *args, **kwargs)
            elif layer == last and ffn is not None:
                at_slots = torch.ones_like(slots, dtype=torch.bool)
                with (
                    _at_slots(ffn, slots),
                    erased(lm, self.erasures, self.rows, at_slots, [layer]),
                ):
                    output = lm.blocks[layer](x, *args, **kwargs)
            else:
                with erased(lm, self.erasures, self.rows, answering, [layer]):
                    output = lm.blocks[layer](x, *args, **kwargs)
            x = _first_of(output)
        return x[torch.arange(len(x), device=x.device)[:, None], slots]

    def _written(self, call: _Recorded, layer: int, answering: Tensor) -> Tensor:
        """(row, position, width) output of the FFN of the first silenced layer."""
        assert call.written is not None and call.neurons is not None
        weight = matrix(self.lm.projections[layer])
        written = call.written[self.where]
        # Rows with the same erasure follow each other.
        kinds, counts = torch.unique_consecutive(self.rows, return_counts=True)
        fill = self.erasures.filled(layer, kinds)
        start = 0
        for k, (kind, count) in enumerate(zip(kinds.tolist(), counts.tolist(), strict=True)):
            part = slice(start, start + count)
            start += count
            j = self.erasures.dropped(layer, kinds[k : k + 1])[0].nonzero()[:, 0]
            gone = call.neurons[self.where[part]][..., j]
            if fill is not None:
                gone = gone - fill[k, j]
            if self.erasures.at_answer[kind]:
                gone = gone * answering[part, :, None]
            written[part] -= gone @ weight[:, j].T
        return written

    def _expanded(self, value: Any) -> Any:
        """Recorded arguments for these rows: whatever has one entry per sample is repeated."""
        if isinstance(value, Tensor):
            n = len(self.batch.ids)
            return value[self.where] if n > 1 and value.ndim and len(value) == n else value
        if isinstance(value, tuple | list):
            return type(value)(self._expanded(v) for v in value)
        if isinstance(value, dict):
            return {k: self._expanded(v) for k, v in value.items()}
        return value


def _judged(
    lm: LanguageModel, batch: _Batch, states: Tensor, where: Tensor
) -> tuple[Tensor, Tensor]:
    """(row,) log-probability of the answer; (row,) tokens that are the likeliest."""
    targets, counts = batch.targets[where], batch.counts[where]
    logprob = torch.zeros(len(where), dtype=torch.float64)
    right = torch.zeros(len(where), dtype=torch.int32)
    step = max(1, _LOGITS // (len(lm.head.weight) * targets.shape[1]))
    for first in range(0, len(where), step):
        part = slice(first, first + step)
        logits = lm.logits(lm.final_norm(states[part]))
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        best = logits.argmax(-1) == targets[part]
        found = torch.log_softmax(logits, -1).gather(-1, targets[part][..., None])[..., 0]
        logprob[part] = found.masked_fill(~counts[part], 0.0).double().sum(1).cpu()
        right[part] = (best & counts[part]).sum(1).int().cpu()
    return logprob, right


def _parent(lm: LanguageModel, layer: int, path: str) -> nn.Module | None:
    """The module around a projection, or None where it is the block itself."""
    parent = path.rpartition(".")[0]
    return lm.blocks[layer].get_submodule(parent) if parent else None


def _attention(lm: LanguageModel, layer: int) -> nn.Module | None:
    return _parent(lm, layer, lm.family.attention_out)


@contextmanager
def _answered(answers: Sequence[tuple[nn.Module, Any]]) -> Iterator[None]:
    """Let modules answer what is known instead of running."""
    before = [(module, module.__dict__.get("forward")) for module, _ in answers]
    for module, output in answers:
        module.forward = lambda *args, output=output, **kwargs: output
    try:
        yield
    finally:
        for module, forward in before:
            del module.forward
            if forward is not None:
                module.forward = forward


@contextmanager
def _at_slots(ffn: nn.Module, slots: Tensor) -> Iterator[None]:
    """Run an FFN at the slots alone; its output elsewhere is 0 and must not be used."""
    row = torch.arange(len(slots), device=slots.device)[:, None]
    shape: list[torch.Size] = []

    def before(module: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        shape.append(args[0].shape)
        return (args[0][row, slots], *args[1:])

    def after(module: Any, args: Any, found: Tensor) -> Tensor:
        output = found.new_zeros(*shape[-1][:2], found.shape[-1])
        output[row, slots] = found
        return output

    handles = [ffn.register_forward_pre_hook(before), ffn.register_forward_hook(after)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _first_of(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple) else output
