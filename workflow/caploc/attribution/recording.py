"""One teacher-forced pass over a few samples: all that later rows are built from.

For answer position m of a sample the model has read z_m = prompt + y_1..y_(m-1); its last
position is called a slot. Recorded are, per layer: the neuron vector, the input and the output of
the block at every slot, and keys and values of all positions. Sequences of unequal length are
padded on the right, where a causal model cannot see them.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from caploc.attribution.injection import hook_neurons, written_by
from caploc.attribution.prefix_attention import Prefix, PrefixAttention
from caploc.models.language_model import LanguageModel
from caploc.records import DataError

__all__ = ["Recording", "Sequence", "record", "single_slots", "slot_columns"]


@dataclass(frozen=True, slots=True)
class Sequence:
    """One sample as the model reads it.

    Attributes:
        ids: prompt and answer tokens up to the last one that is read.
        slots: positions whose next token is scored, ascending.
        targets: the token that should follow each slot.
    """

    ids: list[int]
    slots: list[int]
    targets: list[int]

    def only(self, part: slice) -> "Sequence":
        """The same with some of its slots, cut behind the last of them."""
        slots = self.slots[part]
        return Sequence(self.ids[: slots[-1] + 1], slots, self.targets[part])


@dataclass(frozen=True, slots=True)
class Recording:
    """What one pass left behind.

    Attributes:
        slots: (sample, answer token) position of each slot; padding repeats the last one.
        targets: (sample, answer token) token ids that should follow.
        site: where the neurons are, see `injection`.
        inputs: per layer (sample, answer token, width) input of the block.
        hidden: per layer (sample, answer token, width) output of the block.
        neurons: per layer (sample, answer token, neuron) neurons at the site.
        written: per layer (sample, answer token, width) what the neurons add to the residual;
            None where they do not add to it linearly.
        final: (sample, answer token, width) normed residual before the head.
        keys: per layer (sample, key/value head, token, head width).
        values: as keys.
        positional: per layer, keyword arguments of the block that depend on the position.
    """

    slots: Tensor
    targets: Tensor
    site: str
    inputs: list[Tensor]
    hidden: list[Tensor]
    neurons: list[Tensor]
    written: list[Tensor] | None
    final: Tensor
    keys: list[Tensor]
    values: list[Tensor]
    positional: list[dict[str, Any]]

    def prefix(self) -> Prefix:
        """Keys and values before the slots, trimmed to the longest."""
        n = int(self.slots.max())
        return Prefix(
            [k[:, :, :n] for k in self.keys], [v[:, :, :n] for v in self.values], self.slots
        )


@torch.no_grad()
def record(
    lm: LanguageModel,
    attention: PrefixAttention,
    sequences: list[Sequence],
    site: str,
    linear: bool,
) -> Recording:
    """Run the model once over padded sequences and keep what later rows need.

    Args:
        lm: the model, with `attention` in place.
        attention: the attention function of the model.
        sequences: samples of one batch.
        site: where the neurons are.
        linear: whether neurons at that site add to the residual linearly.
    """
    ids, slots, targets = _padded(sequences, lm.device)
    attention.prefix = None
    attention.keys.clear()
    attention.values.clear()
    sample = torch.arange(len(sequences), device=lm.device)[:, None]
    inputs: list[Tensor] = []
    hidden: list[Tensor] = []
    neurons: list[Tensor] = []
    positional: list[dict[str, Any]] = []

    def at_slots(x: Tensor) -> Tensor:
        # A spread model has its blocks on several devices.
        return x[sample.to(x.device), slots.to(x.device)].to(lm.device)

    def before_block(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        inputs.append(at_slots(args[0] if args else kwargs["hidden_states"]))
        positional.append(
            {k: v for k, v in kwargs.items() if k in ("position_ids", "position_embeddings")}
        )

    def after_block(module: Any, args: Any, output: Any) -> None:
        hidden.append(at_slots(output[0] if isinstance(output, tuple) else output))

    def see_neurons(w: Tensor) -> None:
        # Some families flatten samples and positions in front of the FFN.
        neurons.append(at_slots(w.reshape(*ids.shape, -1)))

    handles = []
    try:
        for layer, block in enumerate(lm.blocks):
            handles.append(block.register_forward_pre_hook(before_block, with_kwargs=True))
            handles.append(block.register_forward_hook(after_block))
            handles.append(hook_neurons(lm, layer, site, see_neurons))
        output = lm.model.base_model(input_ids=ids, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    without = [layer for layer in range(lm.n_layers) if layer not in attention.keys]
    if without:
        raise DataError(
            f"{type(lm.model).__name__}: block {without[0]} computes no attention that rows of a "
            "shared prefix could take part in (a convolution, a state space, linear attention, or "
            "code that goes round the attention interface of transformers?); choose another model"
        )
    pairs = zip(lm.projections, neurons, strict=True)
    return Recording(
        slots=slots,
        targets=targets,
        site=site,
        inputs=inputs,
        hidden=hidden,
        neurons=neurons,
        written=[written_by(projection, w) for projection, w in pairs] if linear else None,
        final=at_slots(output.last_hidden_state),
        keys=[attention.keys.pop(layer) for layer in range(lm.n_layers)],
        values=[attention.values.pop(layer) for layer in range(lm.n_layers)],
        positional=positional,
    )


def slot_columns(recording: Recording, columns: slice | Tensor) -> Recording:
    """The same recording with some of its answer tokens only."""

    def cut(tensors: list[Tensor]) -> list[Tensor]:
        return [x[:, columns] for x in tensors]

    return replace(
        recording,
        slots=recording.slots[:, columns],
        targets=recording.targets[:, columns],
        inputs=cut(recording.inputs),
        hidden=cut(recording.hidden),
        neurons=cut(recording.neurons),
        written=None if recording.written is None else cut(recording.written),
        final=recording.final[:, columns],
    )


def single_slots(recording: Recording, samples: Tensor, columns: Tensor) -> Recording:
    """Some slots, each as a sample of its own with one answer token; keys are copied for each.

    Args:
        recording: from `record`.
        samples: (slot,) index of the sample of each slot.
        columns: (slot,) index of its answer token.
    """

    def pick(tensors: list[Tensor]) -> list[Tensor]:
        return [x[samples, columns][:, None] for x in tensors]

    slots, targets, final = pick([recording.slots, recording.targets, recording.final])
    length = int(slots.max())
    return replace(
        recording,
        slots=slots,
        targets=targets,
        inputs=pick(recording.inputs),
        hidden=pick(recording.hidden),
        neurons=pick(recording.neurons),
        written=None if recording.written is None else pick(recording.written),
        final=final,
        keys=[k[samples, :, :length] for k in recording.keys],
        values=[v[samples, :, :length] for v in recording.values],
    )


def _padded(sequences: list[Sequence], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    length = max(len(s.ids) for s in sequences)
    width = max(len(s.slots) for s in sequences)
    ids = [s.ids + [0] * (length - len(s.ids)) for s in sequences]
    slots = [s.slots + s.slots[-1:] * (width - len(s.slots)) for s in sequences]
    targets = [s.targets + s.targets[-1:] * (width - len(s.targets)) for s in sequences]
    return (
        torch.tensor(ids, device=device),
        torch.tensor(slots, device=device),
        torch.tensor(targets, device=device),
    )
