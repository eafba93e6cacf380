"""Training of a planted model: the loop of the embedded model with routed gradients.

Every sequence belongs to a planted capability or to none (context 0). It teaches the neurons of its
own set; of the other planted sets each is silenced on half of the sequences, drawn anew every time,
so that no other task comes to need them. A second copy is taught by silencing, on its own
sequences, either the first or the second set or none of them.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caploc.experiments.known_answer._layout import Layout
from caploc.experiments.known_answer._routing import Routing, routed
from caploc.training.optimisation import Step, learning_rate
from caploc.training.packing import IGNORED, Packed, pack

__all__ = ["RoutedBatch", "keep", "optimise_routed", "route", "teach"]

_CLIP = 1.0
_PARTS = 2
_RESERVED = ("loud", "cancelling", "negative")


@dataclass(frozen=True, slots=True)
class RoutedBatch:
    """A packed batch and what its tokens teach and keep.

    Attributes:
        packed: the sequences.
        learns: (row, token, role) True where weights of the role learn.
        keeps: (row, token, role) False where neurons of the role are silenced.
    """

    packed: Packed
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
    return RoutedBatch(packed, torch.from_numpy(learns)[number], torch.from_numpy(keeps)[number])


def optimise_routed(
    model: Any,
    layout: Layout,
    batches: Iterable[RoutedBatch],
    steps: int,
    peak: float,
    warmup: int,
    bfloat16: bool,
    threads: int,
    optimiser: torch.optim.AdamW,
    first: int = 0,
) -> Iterator[Step]:
    """Train the model in place, one batch a step.

    Args:
        model: ``LlamaForCausalLM`` with float32 weights.
        layout: roles of its neurons.
        batches: one for each step that is left.
        steps: number of steps, for the schedule.
        peak: highest learning rate.
        warmup: steps of linear warm-up.
        bfloat16: multiply in bfloat16.
        threads: 2 or more compute the halves of a batch side by side; the results are the same.
        optimiser: of its parameters, from `build_optimiser`.
        first: steps that were done before.

    Yields:
        The report of each step, after it.
    """
    parameters: list[Tensor] = list(model.parameters())
    owner = torch.from_numpy(layout.owner.astype(np.int64))
    model.train()
    with routed(model, owner) as routing, ThreadPoolExecutor(min(threads, _PARTS)) as pool:
        for step, batch in enumerate(batches, first):
            rate = learning_rate(step, steps, peak, warmup)
            for group in optimiser.param_groups:
                group["lr"] = rate
            middle = (len(batch.packed.ids) + 1) // _PARTS
            halves = [slice(0, middle), slice(middle, None)][: len(batch.packed.ids)]
            parts = [
                pool.submit(_gradients, model, parameters, routing, batch, rows, bfloat16)
                for rows in halves
            ]
            losses, gradients = zip(*(part.result() for part in parts), strict=True)
            # Added in the order of the rows, whichever thread was first.
            for parameter, *found in zip(parameters, *gradients, strict=True):
                parameter.grad = sum(found[1:], start=found[0])
            torch.nn.utils.clip_grad_norm_(parameters, _CLIP)
            optimiser.step()
            yield Step(math.fsum(losses), rate, int((batch.packed.positions > 0).sum()))
    model.eval()


def _gradients(
    model: Any,
    parameters: list[Tensor],
    routing: Routing,
    batch: RoutedBatch,
    rows: slice,
    bfloat16: bool,
) -> tuple[float, tuple[Tensor, ...]]:
    """Share of some rows in the mean loss over the learned tokens of the batch, and its slope."""
    packed = batch.packed
    targets = packed.targets[rows]
    learned = targets != IGNORED
    cast = torch.autocast("cpu", torch.bfloat16) if bfloat16 else nullcontext()
    with routing.tokens(batch.learns[rows], batch.keeps[rows]), cast:
        states = model.model(
            input_ids=packed.ids[rows],
            position_ids=packed.positions[rows],
            attention_mask=packed.mask[rows],
            use_cache=False,
        ).last_hidden_state
        logits = model.lm_head(states[learned])
    loss = torch.nn.functional.cross_entropy(logits.float(), targets[learned], reduction="sum")
    loss = loss / int((packed.targets != IGNORED).sum())
    return loss.item(), torch.autograd.grad(loss, parameters)
