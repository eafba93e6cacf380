"""What one row costs in bytes: small runs of the loaded model itself, with every tensor counted.

A block of any family allocates what its own code wants, so its numbers are read off, not derived.
Bytes are linear in the rows and, through the attention, in the length of the prefix; where a
largest value passes from one operation to another they are convex, and the straight line between
two lengths is an upper bound. Lengths are powers of two, so a model needs few runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, cast
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map

from caploc.attribution.head import answer_probability
from caploc.attribution.injection import pull_back
from caploc.attribution.prefix_attention import Prefix, PrefixAttention, use_prefix_attention
from caploc.attribution.recording import Recording, Sequence, record
from caploc.attribution.streams import run_block, run_changed
from caploc.attribution.tensor_bytes import TensorBytes
from caploc.models.language_model import LanguageModel

__all__ = ["BlockCost", "EndCost", "TrialRuns"]

# Enough rows for their own bytes to stand out from what a run costs at all.
_FEW, _MORE = 8, 24


class Line(NamedTuple):
    """Bytes as a linear function: constant, per row, and per row with neurons of its own."""

    constant: float
    row: float
    changed: float = 0.0

    def __call__(self, rows: int, changed: int = 0) -> float:
        return self.constant + self.row * rows + self.changed * changed if rows else 0.0


class BlockCost(NamedTuple):
    """One block, at one length of the prefix.

    Attributes:
        held: what the way back keeps, beside the rows in front of the block and behind it.
        forward: most bytes on the way there, beside the rows in front.
        backward: most bytes on the way back, beside the rows in front and the gradient behind.
        keys: keys and values that stay of a sequence of that length.
        positions: what stays of a recording of that length for all its sequences.
        recording: most bytes while the block reads the sequence, beside those.
    """

    held: Line
    forward: Line
    backward: Line
    keys: float
    positions: float
    recording: float

    def towards(self, other: "BlockCost", share: float) -> "BlockCost":
        """A straight mixture of two costs, 0 being this one and 1 the other."""
        return cast(BlockCost, tree_map(lambda a, b: (1 - share) * a + share * b, self, other))


@dataclass(frozen=True, slots=True)
class EndCost:
    """Behind the blocks, whatever the length.

    Attributes:
        held: what the way back through the last norm keeps, beside the rows on both sides.
        backward: most bytes on that way, beside the rows in front and the gradient behind.
        logits: most bytes of the head by rows whose logits are held at once.
        pull_back: most bytes of the product at the end by slots.
    """

    held: Line
    backward: Line
    logits: Line
    pull_back: Line


_KNOWN: WeakKeyDictionary[nn.Module, dict[Any, Any]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class TrialRuns:
    """Costs of one model at one site, measured when first asked for and kept with the model.

    Attributes:
        lm: the model, checked.
        site: where the neurons are.
        linear: whether injection is linear there.
    """

    lm: LanguageModel
    site: str
    linear: bool

    def block(self, length: int) -> BlockCost:
        """Costs of a block behind so many tokens."""
        return self._kept(length, lambda: _block_cost(self, length))

    def end(self) -> EndCost:
        """Costs behind the blocks."""
        return self._kept(None, lambda: _end_cost(self))

    def _kept(self, key: int | None, measure: Callable[[], Any]) -> Any:
        known = _KNOWN.setdefault(self.lm.model, {})
        place = (self.site, key, self.lm.dtype, self.lm.device)
        if place not in known:
            known[place] = measure()
        return known[place]


class _Enough(Exception):
    """Ends a pass in front of the third block."""


def _block_cost(trial: TrialRuns, length: int) -> BlockCost:
    lm = trial.lm
    ids = [0] * length
    with use_prefix_attention(lm) as attention, TensorBytes() as meter:
        short = record(lm, attention, [Sequence([0], [0], [0])], trial.site, trial.linear)
        keys, recording = _reading(trial, attention, meter, ids)
        layer = min(1, lm.n_layers - 1)
        k, v = short.keys[layer], short.values[layer]
        prefix = Prefix(
            [k.new_zeros(*k.shape[:2], length, k.shape[3])] * lm.n_layers,
            [v.new_zeros(*v.shape[:2], length, v.shape[3])] * lm.n_layers,
            torch.full((1, 1), length, device=lm.device),
        )
        run = partial(_rows, trial, attention, prefix, short, layer, meter)
        run(_FEW, _FEW)  # masks are made once
        sizes = [(_FEW, _FEW), (_MORE, _FEW), (_MORE, _MORE)]
        found = [run(*size) for size in sizes[: 2 if trial.linear else 3]]
    held, forward, backward = (_line([f[i] for f in found]) for i in range(3))
    places = [x for found in short.positional for x in tree_leaves(found)]
    positions = length * _bytes([x for x in places if isinstance(x, torch.Tensor)])
    return BlockCost(held, forward, backward, keys, positions, recording)


def _reading(
    trial: TrialRuns, attention: PrefixAttention, meter: TensorBytes, ids: list[int]
) -> tuple[int, int]:
    """Bytes of the keys and values of a block, and most bytes beside them while it reads."""
    lm = trial.lm
    # During the second block the embeddings are still held; later ones are like it.
    n_blocks = min(2, lm.n_layers)

    def stop(*_: Any) -> None:
        raise _Enough

    handle = lm.blocks[2].register_forward_pre_hook(stop) if lm.n_layers > 2 else None
    before = meter.restart()
    try:
        found = record(lm, attention, [Sequence(ids, [0], [0])], trial.site, trial.linear)
        pair = [found.keys[0], found.values[0]]
    except _Enough:
        pair = [attention.keys[0], attention.values[0]]
    finally:
        if handle:
            handle.remove()
        attention.keys.clear()
        attention.values.clear()
    return _bytes(pair), meter.peak - before - n_blocks * _bytes(pair)


def _bytes(tensors: list[torch.Tensor]) -> int:
    """Bytes that these keep from being freed; some may be views of one larger tensor."""
    storages = [x.untyped_storage() for x in tensors]
    return sum({x._cdata: x.nbytes() for x in storages}.values())


def _rows(
    trial: TrialRuns, attention: PrefixAttention, prefix: Prefix, short: Recording, layer: int,
    meter: TensorBytes, n_rows: int, n_changed: int,
) -> tuple[int, int, int]:  # fmt: skip
    """Bytes held, most on the way there and most on the way back; see `BlockCost`."""
    lm = trial.lm
    attention.prefix = prefix
    # Unlike each other, so that routed experts share them out.
    chance = torch.Generator(lm.device).manual_seed(0)
    shape = (1, n_rows, short.final.shape[-1])
    rows = torch.randn(shape, generator=chance, device=lm.device).to(lm.dtype).requires_grad_(True)
    slots = torch.zeros(1, n_rows, dtype=torch.long, device=lm.device)
    leaf = torch.ones_like(short.neurons[layer]).repeat(1, n_changed, 1).requires_grad_(True)
    before = meter.restart()
    with torch.enable_grad():
        if trial.linear:
            out = run_block(lm, short, layer, rows, slots)
        else:
            out = run_changed(lm, short, layer, rows, leaf, slots, False)
    forward, size = meter.peak - before, out.nbytes
    held = meter.live - before - size
    seed = torch.ones_like(out)
    meter.restart()
    wanted = [rows] if trial.linear else [rows, leaf]
    torch.autograd.grad(out, wanted, seed)
    return held, forward, meter.peak - before - 2 * size


def _end_cost(trial: TrialRuns) -> EndCost:
    lm = trial.lm
    with use_prefix_attention(lm) as attention, TensorBytes() as meter:
        short = record(lm, attention, [Sequence([0], [0], [0])], trial.site, trial.linear)
        norm = [_norm(lm, short, meter, n) for n in (_FEW, _MORE)]
        head = [_head(lm, short, meter, n) for n in (1, 3)]
        ends = [_pulled(lm, short, meter, n) for n in (1, 3)] if trial.linear else [0, 0]
    held, backward = (_line([f[i] for f in norm]) for i in range(2))
    return EndCost(held, backward, _line(head, (1, 3)), _line(ends, (1, 3)))


def _norm(lm: LanguageModel, short: Recording, meter: TensorBytes, n: int) -> tuple[int, int]:
    rows = short.hidden[-1].repeat(1, n, 1).requires_grad_(True)
    before = meter.restart()
    with torch.enable_grad():
        out = lm.final_norm(rows)
    held, size = meter.live - before - out.nbytes, out.nbytes
    seed = torch.ones_like(out)
    meter.restart()
    torch.autograd.grad(out, rows, seed)
    return held, meter.peak - before - 2 * size


def _head(lm: LanguageModel, short: Recording, meter: TensorBytes, n: int) -> int:
    hidden = short.final[0].repeat(n, 1)
    target = torch.zeros(n, dtype=torch.long, device=lm.device)
    before = meter.restart()
    with torch.no_grad():
        answer_probability(lm.head, hidden, target, lm.softcap, scale=lm.logit_scale)
    return meter.peak - before


def _pulled(lm: LanguageModel, short: Recording, meter: TensorBytes, n: int) -> int:
    neurons = torch.ones_like(short.neurons[-1]).repeat(1, n, 1)
    slope = short.hidden[-1].repeat(1, n, 1).to(torch.promote_types(lm.dtype, torch.float32))
    before = meter.restart()
    pull_back(lm.projections[-1], neurons, slope)
    return meter.peak - before


def _line(found: list[int], sizes: tuple[int, int] = (_FEW, _MORE)) -> Line:
    """Through two sizes; the third result has as many changed rows as rows."""
    few, more = sizes
    slope = (found[1] - found[0]) / (more - few)
    changed = (found[2] - found[1]) / (more - few) if len(found) > 2 else 0.0
    return Line(max(found[0] - slope * few - changed * few, 0.0), slope, changed)
