"""Many erasures of one batch, with the work they have in common done once.

Rows are pairs of an erasure and a sample. Four parts of the model are not run for every row:

- blocks in front of the first silenced layer: one pass of the unchanged model is recorded;
- the attention of that layer, which is still that of the unchanged model;
- the FFN of that layer: its neurons are those of the unchanged model, so its output is the recorded
  one minus what the silenced neurons wrote;
- the FFN of the last layer at positions that predict no answer token.

Where heads are silenced too, the second and third do not hold and that layer is run as it is. So it
is where an FFN does more to the output of its projection than add to it, which is looked at once.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from caploc.forward.batch import Batch
from caploc.forward.hooks import Hooks
from caploc.forward.silencing import Erasures, erased
from caploc.models.language_model import LanguageModel, check_linear, matrix

__all__ = ["Unchanged", "record_unchanged"]

# {model: {layer: whether its FFN adds what its neurons write}}
_ADDED: WeakKeyDictionary[nn.Module, dict[int, bool]] = WeakKeyDictionary()


@dataclass(slots=True)
class _Call:
    """How a block of the unchanged model was called, and what its parts answered.

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


@dataclass(frozen=True, slots=True)
class Unchanged:
    """One pass of the unchanged model, from which rows of silenced models go on.

    Attributes:
        lm: the model.
        batch: the samples.
        erasures: those that rows refer to.
        calls: of every block; input, attention and FFN only where an erasure begins.
        final: (sample, answer token, width) output of the last block where answers are predicted.
    """

    lm: LanguageModel
    batch: Batch
    erasures: Erasures
    calls: list[_Call]
    final: Tensor

    def states(self, rows: Tensor, samples: Tensor) -> Tensor:
        """Output of the last block where answers are predicted.

        Args:
            rows: (row,) which erasure each row has; all begin at the same layer, and all or none of
                them silence a head. Equal ones follow each other.
            samples: (row,) which sample of the batch each row reads.

        Returns:
            (row, answer token, width).
        """
        lm, last = self.lm, self.lm.n_layers - 1
        first = self.erasures.first[int(rows[0])]
        if first == lm.n_layers:
            return self.final[samples]
        x = self.calls[first].args[0][samples]
        batch = self.batch.rows(samples)
        answering = batch.answering
        for layer in range(first, lm.n_layers):
            ffn = _around(lm, layer, lm.family.ffn_out)
            known = _ADDED.get(lm.model, {}).get(layer, False) and not self._with_heads(rows)
            with Hooks() as acting:
                if layer == first and ffn is not None and known:
                    acting.enter_context(self._answers(layer, ffn, rows, samples, answering))
                elif layer == last and ffn is not None:
                    everywhere = torch.ones_like(batch.counts)
                    acting.enter_context(_at_answer(ffn, batch))
                    acting.enter_context(erased(lm, self.erasures, rows, everywhere, [layer]))
                else:
                    acting.enter_context(erased(lm, self.erasures, rows, answering, [layer]))
                call = self.calls[layer]
                args, kwargs = self._expanded((call.args[1:], call.kwargs), samples)
                x = _first_of(lm.blocks[layer](x, *args, **kwargs))
        return batch.at_answer(x)

    def _with_heads(self, rows: Tensor) -> bool:
        return self.erasures.with_heads[int(rows[0])]

    @contextmanager
    def _answers(
        self, layer: int, ffn: nn.Module, rows: Tensor, samples: Tensor, answering: Tensor
    ) -> Iterator[None]:
        """Let FFN and attention of the first silenced layer answer what is known of them."""
        call, attention = self.calls[layer], _around(self.lm, layer, self.lm.family.attention_out)
        answers: list[tuple[nn.Module, Any]] = [
            (ffn, self._written(call, layer, rows, samples, answering))
        ]
        if attention is not None:
            answers.append((attention, self._expanded(call.attended, samples)))
        with _answered(answers):
            yield

    def _written(
        self, call: _Call, layer: int, rows: Tensor, samples: Tensor, answering: Tensor
    ) -> Tensor:
        """(row, position, width) output of the FFN of the first silenced layer."""
        assert call.written is not None and call.neurons is not None
        weight = matrix(self.lm.projections[layer])
        written = call.written[samples]
        kinds, counts = torch.unique_consecutive(rows, return_counts=True)
        fill = self.erasures.fill.get(layer)
        start = 0
        for kind, count in zip(kinds.tolist(), counts.tolist(), strict=True):
            part = slice(start, start + count)
            start += count
            j = self.erasures.neurons[layer][kind].nonzero()[:, 0]
            gone = call.neurons[samples[part]][..., j]
            if fill is not None:
                gone = gone - fill[kind, j]
            if self.erasures.at_answer[kind]:
                gone = gone * answering[part, :, None]
            written[part] -= gone @ weight[:, j].T
        return written

    def _expanded(self, value: Any, samples: Tensor) -> Any:
        """Recorded arguments for some rows: whatever has one entry per sample is repeated."""
        if isinstance(value, Tensor):
            n = len(self.batch.ids)
            return value[samples] if n > 1 and value.ndim and len(value) == n else value
        if isinstance(value, tuple | list):
            return type(value)(self._expanded(v, samples) for v in value)
        if isinstance(value, dict):
            slopes = value.get("alibi")
            found = {k: self._expanded(v, samples) for k, v in value.items()}
            if isinstance(slopes, Tensor) and slopes.dim() == 3:
                # (sample x head, 1, token): those of a sample after those of the one before.
                by_sample = slopes.unflatten(0, (len(self.batch.ids), -1))
                found["alibi"] = by_sample[samples].flatten(0, 1)
            return found
        return value


def record_unchanged(lm: LanguageModel, batch: Batch, erasures: Erasures) -> Unchanged:
    """Run the unchanged model once and keep what rows of any of the erasures need of it.

    Raises:
        DataError: an adapter or a hook stands on the output projection of a silenced FFN.
    """
    # What silenced neurons wrote is read off the weight.
    silenced = set(erasures.first) & set(range(lm.n_layers)) if not lm.family.experts else ()
    for layer in silenced:
        check_linear(lm.projections[layer], f"{lm.family.ffn_out} of block {layer}")
    calls = [_Call() for _ in range(lm.n_layers)]
    output: list[Tensor] = []

    def before_block(layer: int) -> Any:
        def hook(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
            # The residual stream is needed where rows begin, the rest of the call everywhere.
            calls[layer].args = args if layer in erasures.first else (None, *args[1:])
            calls[layer].kwargs = kwargs

        return hook

    def keep(layer: int, name: str, position: int) -> Any:
        def hook(module: Any, *found: Any) -> None:
            # Some families flatten samples and positions in front of the FFN; Falcon adds to its
            # output in place.
            value = _first_of(found[position])
            setattr(calls[layer], name, value.reshape(*batch.ids.shape, -1).clone())

        return hook

    def keep_attended(layer: int) -> Any:
        def hook(module: Any, args: Any, found: Any) -> None:
            calls[layer].attended = found

        return hook

    asked: dict[int, tuple[Any, ...]] = {}
    added = _ADDED.setdefault(lm.model, {})
    with Hooks() as hooks:
        hooks.after(lm.blocks[-1], lambda m, a, out: output.append(_first_of(out)))
        for layer, block in enumerate(lm.blocks):
            hooks.before(block, before_block(layer), with_kwargs=True)
            ffn = _around(lm, layer, lm.family.ffn_out)
            attention = _around(lm, layer, lm.family.attention_out)
            if layer in erasures.first and attention is not None:
                hooks.after(attention, keep_attended(layer))
            if layer in erasures.first and ffn is not None:
                hooks.before(lm.projections[layer], keep(layer, "neurons", 0))
                hooks.after(ffn, keep(layer, "written", 1))
                if layer not in added:
                    hooks.before(ffn, partial(_keep_copies, asked, layer))
        lm.model.base_model(input_ids=batch.ids, use_cache=False)
    for layer, args in asked.items():
        added[layer] = _is_added(lm, layer, calls[layer], args)
    return Unchanged(lm, batch, erasures, calls, batch.at_answer(output[0]))


def _keep_copies(kept: dict[int, tuple[Any, ...]], layer: int, module: Any, args: Any) -> None:
    kept[layer] = tuple(x.clone() if isinstance(x, Tensor) else x for x in args)


def _is_added(lm: LanguageModel, layer: int, call: _Call, args: tuple[Any, ...]) -> bool:
    """Is what an FFN gives without its neurons what it gave minus what they wrote?"""
    ffn = _around(lm, layer, lm.family.ffn_out)
    assert ffn is not None and call.neurons is not None and call.written is not None
    projection = lm.projections[layer]
    with Hooks() as hooks:
        hooks.before(projection, lambda m, a: (torch.zeros_like(a[0]), *a[1:]))
        found = ffn(*args)
    if isinstance(found, tuple):
        return False  # what else it returns is not known of rows
    silent = found.reshape(call.written.shape)
    by_neurons = call.neurons @ matrix(projection).T
    far = (call.written - by_neurons - silent).abs().max().item()
    eps = torch.finfo(silent.dtype).eps
    return far <= 0.01 * by_neurons.abs().max().item() + 16 * eps * call.written.abs().max().item()


def _around(lm: LanguageModel, layer: int, path: str) -> nn.Module | None:
    """The module around a projection, or None where it is the block itself."""
    parent = path.rpartition(".")[0]
    return lm.blocks[layer].get_submodule(parent) if parent else None


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
def _at_answer(ffn: nn.Module, batch: Batch) -> Iterator[None]:
    """Run an FFN where answers are predicted; its output elsewhere is 0 and must not be used."""
    row = torch.arange(len(batch.ids), device=batch.ids.device)[:, None]

    def before(module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        # Some families give the residual stream to their FFN as well.
        return tuple(batch.at_answer(x) if isinstance(x, Tensor) else x for x in args)

    def after(module: Any, args: Any, found: Any) -> Any:
        known = _first_of(found)
        output = known.new_zeros(*batch.ids.shape, known.shape[-1])
        output[row, batch.positions] = known
        return (output, *found[1:]) if isinstance(found, tuple) else output

    with Hooks() as hooks:
        hooks.before(ffn, before)
        hooks.after(ffn, after)
        yield


def _first_of(output: Any) -> Any:
    return output[0] if isinstance(output, tuple) else output
