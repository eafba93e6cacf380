"""Training of a planted model: what its sequences teach and silence, by routed gradients.

Every sequence belongs to a planted capability or to none (context 0). It teaches the neurons of its
own set; of the other planted sets each is silenced on half of the sequences, drawn anew every time,
so that no other task comes to need them. A second copy is taught by silencing, on its own
sequences, either the first or the second set or none of them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caploc.experiments.known_answer._layout import Layout
from caploc.experiments.known_answer._routing import routed
from caploc.training.optimisation import Within
from caploc.training.packing import Packed, pack

__all__ = ["RoutedBatch", "keep", "route", "routes", "teach"]

_RESERVED = ("loud", "cancelling", "negative")


@dataclass(frozen=True, slots=True)
class RoutedBatch(Packed):
    """A packed batch and what its tokens teach and keep.

    Attributes:
        learns: (row, token, role) True where weights of the role learn.
        keeps: (row, token, role) False where neurons of the role are silenced.
    """

    learns: Tensor
    keeps: Tensor


def teach(layout: Layout) -> NDArray[np.bool_]:
    """(context, role) True where sequences of the context teach neurons of the role.

    Context 0 is every task that is not planted, context k the k-th planted capability.
    """
    contexts = ["", *layout.capabilities]
    found = np.zeros((len(contexts), len(layout.roles)), dtype=np.bool_)
    for i, role in enumerate(layout.roles):
        for c, capability in enumerate(contexts):
            own = role.kind in ("planted", "copy") and role.capability == capability
            found[c, i] = own or role.kind == "shared" or (role.kind == "rest" and c == 0)
    return found


def keep(layout: Layout, contexts: Sequence[int], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw which roles each sequence keeps.

    Args:
        layout: of the model.
        contexts: context of each sequence.
        rng: of the draw.

    Returns:
        (sequence, role) False where silenced. Neurons that are kept free for decoys are always.
    """
    kept = np.ones((len(contexts), len(layout.roles)), dtype=np.bool_)
    names = ["", *layout.capabilities]
    own = np.array([names[c] for c in contexts], dtype=object)
    # Of a capability stored twice: 0 keeps both sets, 1 the first, 2 the second.
    which = rng.integers(3, size=len(contexts))
    twice = {role.capability for role in layout.roles if role.kind == "copy"}
    for i, role in enumerate(layout.roles):
        coin = rng.integers(2, size=len(contexts)).astype(bool)
        if role.kind in _RESERVED:
            kept[:, i] = False
        elif role.kind in ("planted", "copy"):
            at_home = np.ones(len(contexts), dtype=np.bool_)
            if role.capability in twice:
                at_home = which != (2 if role.kind == "planted" else 1)
            kept[:, i] = np.where(own == role.capability, at_home, coin)
    return kept


def route(
    sequences: Sequence[tuple[Sequence[int], int]],
    contexts: Sequence[int],
    layout: Layout,
    length: int,
    padding: int,
    rng: np.random.Generator,
) -> RoutedBatch:
    """Pack sequences and say what each token teaches and keeps.

    Args:
        sequences: (token ids, first learned position), as for `pack`.
        contexts: context of each sequence.
        layout: of the model.
        length: longest row in tokens.
        padding: id that fills a row up.
        rng: of what is silenced.
    """
    packed = pack(sequences, length, padding)
    # Sequences of the same lengths are packed alike: their numbers in place of their tokens.
    numbered = [([i + 1] * len(ids), first) for i, (ids, first) in enumerate(sequences)]
    number = pack(numbered, length, 0).ids
    nothing = np.zeros((1, len(layout.roles)), dtype=np.bool_)
    learns = np.concatenate([nothing, teach(layout)[np.asarray(contexts)]])
    keeps = np.concatenate([~nothing, keep(layout, contexts, rng)])
    return RoutedBatch(
        packed.ids, packed.positions, packed.targets, packed.mask,
        torch.from_numpy(learns)[number], torch.from_numpy(keeps)[number],
    )  # fmt: skip


@contextmanager
def routes(model: Any, layout: Layout) -> Iterator[Within]:
    """What `optimise` opens around passes, so that batches of `route` teach what they may.

    Args:
        model: ``LlamaForCausalLM`` with float32 weights, on the processor.
        layout: roles of its neurons.
    """
    with routed(model, torch.from_numpy(layout.owner)) as routing:
        yield lambda batch, rows: routing.tokens(batch.learns[rows], batch.keeps[rows])
