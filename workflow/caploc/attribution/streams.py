"""Rows of all layers and path points travel through the blocks together.

A row is the residual stream at one slot in which the neurons of one layer were scaled by c. With
linear injection (see `injection`) the row starts behind block l as

    x = hidden_l + (c - 1) * written_l,

without running block l again; with generic injection it starts in front of block l, on the recorded
input, and its neurons are replaced by c * neurons_l inside. Rows of layer l join those of the
layers before it, so block k sees rows of all layers < k; the norm and the head see the rows of all.

At c = 1 all layers have the same, unchanged stream: one row per slot serves them all, and its
gradient at every layer is read off in the same backward pass.
"""

from collections.abc import Callable
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop

from caploc.attribution.head import answer_probability
from caploc.attribution.injection import hook_neurons
from caploc.attribution.prefix_attention import PrefixAttention
from caploc.attribution.recording import Recording
from caploc.models.language_model import LanguageModel

__all__ = [
    "Gradients",
    "Rows",
    "forward_rows",
    "row_gradients",
    "rows_with_neurons",
    "run_block",
    "run_changed",
    "silenced_outputs",
]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows on their way, ordered (path row, answer token), answer token fastest.

    Attributes:
        sources: per layer (sample, row, width or neuron): where gradients are taken, behind the
            block (linear injection) or at the neurons (generic). The unchanged row comes first if
            there is one, the rows of the layer itself come last.
        final: (sample, row, width) normed residual of all rows: unchanged, layer 0, layer 1, ...
    """

    sources: list[Tensor]
    final: Tensor


@dataclass(frozen=True, slots=True)
class Gradients:
    """Result for one set of path points; d log P is taken at the sources, see `Rows`.

    Attributes:
        probability: per layer (sample, point, answer token) P at each point.
        slope: per layer (sample, point, answer token, width or neuron) d log P.
        probability_unchanged: (sample, answer token) P at c = 1; None if that row was not sent.
        slope_unchanged: per layer (sample, answer token, width or neuron) d log P there, or None.
    """

    probability: list[Tensor]
    slope: list[Tensor]
    probability_unchanged: Tensor | None
    slope_unchanged: list[Tensor] | None


def forward_rows(
    lm: LanguageModel,
    attention: PrefixAttention,
    recording: Recording,
    points: SequenceOf[Tensor],
    with_unchanged: bool,
    recompute: bool = False,
) -> Rows:
    """Send the rows of all layers and points through the blocks.

    Args:
        lm: the model, with `attention` in place.
        attention: the attention function of the model.
        recording: from `record`.
        points: per layer (point, sample or 1, answer token or 1) fractions c; a layer without
            points has no rows.
        with_unchanged: also send one row with c = 1 per slot, for all layers.
        recompute: keep only the rows in front of a block for the way back, and run it again there.
    """
    B, Y = recording.slots.shape
    attention.prefix = recording.prefix()
    most = int(with_unchanged) + sum(len(c) for c in points)
    slots = recording.slots[:, None].expand(B, most, Y).reshape(B, -1)
    rows = torch.empty(B, 0, recording.final.shape[-1], device=lm.device, dtype=lm.dtype)
    linear = recording.written is not None
    if with_unchanged:
        rows = (recording.hidden if linear else recording.inputs)[0]
    sources: list[Tensor] = []
    for layer in range(lm.n_layers):
        if recording.written is None:
            new = recording.inputs[layer][:, None].expand(-1, len(points[layer]), -1, -1)
            rows = torch.cat([rows, new.flatten(1, 2)], dim=1)
            leaf = _leaf(recording, layer, points[layer], with_unchanged)
            sources.append(leaf)
            if rows.shape[1]:
                run = partial(run_changed, lm, recording, layer, slots=slots, shared=with_unchanged)
                rows = _again(run, rows, leaf) if recompute else run(rows, leaf)
            continue
        if layer and rows.shape[1]:
            run = partial(run_block, lm, recording, layer, slots=slots)
            rows = _again(run, rows) if recompute else run(rows)
        hidden, written = recording.hidden[layer], recording.written[layer]
        # The sum is formed in float32 at least and rounded once.
        scale = (points[layer] - 1).transpose(0, 1)[..., None]
        new = (hidden[:, None] + scale * written[:, None]).to(lm.dtype)
        rows = torch.cat([rows, new.flatten(1, 2)], dim=1)
        if not rows.requires_grad:
            rows.requires_grad_(torch.is_grad_enabled())
        sources.append(rows)
    return Rows(sources, lm.final_norm(rows).to(lm.device))


def row_gradients(
    lm: LanguageModel,
    attention: PrefixAttention,
    recording: Recording,
    points: SequenceOf[Tensor],
    with_unchanged: bool,
    *,
    recompute: bool = False,
    head_rows: int | None = None,
) -> Gradients:
    """Probabilities at the path points and the gradients of their logarithms.

    Args:
        lm: the model, with `attention` in place.
        attention: the attention function of the model.
        recording: from `record`.
        points: per layer (point, sample or 1, answer token or 1) fractions c, float32 or wider.
        with_unchanged: also c = 1, which all layers share.
        recompute: see `forward_rows`.
        head_rows: rows whose logits are held at once; None leaves it to the head.
    """
    B, Y = recording.slots.shape
    with torch.enable_grad():
        rows = forward_rows(lm, attention, recording, points, with_unchanged, recompute)
    n_rows = rows.final.shape[1]
    targets = recording.targets.repeat(1, n_rows // Y).flatten()
    with torch.no_grad():
        final = rows.final.detach().flatten(0, 1)
        probability, seed = answer_probability(
            lm.head, final, targets, lm.softcap, head_rows, lm.logit_scale
        )
    gradients = torch.autograd.grad(
        rows.final, rows.sources, seed.view_as(rows.final),
        allow_unused=True, materialize_grads=True,
    )  # fmt: skip
    probability = probability.view(B, n_rows // Y, Y)
    slopes, values = [], []
    first = int(with_unchanged)
    for c, gradient in zip(points, gradients, strict=True):
        values.append(probability[:, first : first + len(c)])
        first += len(c)
        own = gradient[:, gradient.shape[1] - len(c) * Y :]
        slopes.append(own.unflatten(1, (len(c), Y)))
    if not with_unchanged:
        return Gradients(values, slopes, None, None)
    return Gradients(values, slopes, probability[:, 0], [g[:, :Y] for g in gradients])


def silenced_outputs(
    lm: LanguageModel, attention: PrefixAttention, recording: Recording
) -> list[Tensor]:
    """Output of every block (sample, answer token, width) with its neurons at 0, generic injection.

    Args:
        lm: the model, with `attention` in place.
        attention: the attention function of the model.
        recording: from `record`, with injection that is not linear.
    """
    attention.prefix = recording.prefix()
    return [
        run_changed(lm, recording, layer, x, torch.zeros_like(w), recording.slots, False)
        for layer, (x, w) in enumerate(zip(recording.inputs, recording.neurons, strict=True))
    ]


def rows_with_neurons(
    lm: LanguageModel,
    attention: PrefixAttention,
    recording: Recording,
    layer: int,
    neurons: Tensor,
) -> Tensor:
    """Send rows through the blocks from one layer on, each with neurons of its own there.

    Args:
        lm: the model, with `attention` in place.
        attention: the attention function of the model.
        recording: from `record`.
        layer: whose neurons are replaced.
        neurons: (sample, row, neuron); rows are ordered (path row, answer token).

    Returns:
        (sample, row, width) normed residual.
    """
    B, Y = recording.slots.shape
    attention.prefix = recording.prefix()
    n = neurons.shape[1] // Y
    slots = recording.slots[:, None].expand(B, n, Y).reshape(B, -1)
    rows = recording.inputs[layer][:, None].expand(B, n, Y, -1).reshape(B, n * Y, -1)
    rows = run_changed(lm, recording, layer, rows, neurons, slots, False)
    for behind in range(layer + 1, lm.n_layers):
        rows = run_block(lm, recording, behind, rows, slots)
    return lm.final_norm(rows).to(lm.device)


def _again(run: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """Run now, and once more when gradients are wanted; nothing else is kept."""
    # To its end also then: modules may clean up behind themselves.
    with set_checkpoint_early_stop(False):
        found = checkpoint(run, *tensors, use_reentrant=False, preserve_rng_state=False)
    return cast(Tensor, found)


def run_block(
    lm: LanguageModel, recording: Recording, layer: int, rows: Tensor, slots: Tensor
) -> Tensor:
    """Rows behind a block, (sample, row, width); slots (sample, row or more) are positions."""
    settings = _positional(recording.positional[layer], slots, rows.shape[1])
    output = lm.blocks[layer](rows, **dict.fromkeys(lm.family.unused_arguments), **settings)
    return (output[0] if isinstance(output, tuple) else output).to(lm.device)


def _leaf(recording: Recording, layer: int, points: Tensor, with_unchanged: bool) -> Tensor:
    """(sample, row, neuron): 0, to be added to the unchanged row; then the neurons of new rows."""
    w = recording.neurons[layer]
    new = (points.transpose(0, 1)[..., None] * w[:, None]).to(w.dtype).flatten(1, 2)
    leaf = torch.cat([torch.zeros_like(w), new], dim=1) if with_unchanged else new
    return leaf.requires_grad_(torch.is_grad_enabled())


def run_changed(
    lm: LanguageModel, recording: Recording, layer: int, rows: Tensor, leaf: Tensor, slots: Tensor,
    shared: bool,
) -> Tensor:  # fmt: skip
    """Rows behind a block in which the last ones get the neurons of `leaf`.

    Args:
        lm: the model, with its prefix in place.
        recording: from `record`.
        layer: of the block.
        rows: (sample, row, width) in front of it.
        leaf: (sample, row, neuron), added to the unchanged rows, then the neurons of the last rows.
        slots: (sample, row or more) positions.
        shared: whether the unchanged rows come first, one a slot.
    """
    n_shared = recording.slots.shape[1] if shared else 0
    n_new = leaf.shape[1] - n_shared

    def change(neurons: Tensor) -> Tensor:
        x = neurons.reshape(len(rows), rows.shape[1], -1)
        new = leaf.to(x.device)
        first, middle = x[:, :n_shared], x[:, n_shared : rows.shape[1] - n_new]
        parts = [first + new[:, :n_shared], middle, new[:, n_shared:]]
        return torch.cat(parts, dim=1).view_as(neurons)

    handle = hook_neurons(lm, layer, recording.site, change)
    try:
        return run_block(lm, recording, layer, rows, slots)
    finally:
        handle.remove()


def _positional(recorded: dict[str, Any], slots: Tensor, n_rows: int) -> dict[str, Any]:
    """Keyword arguments of a block for rows: positions of the slots instead of 0, 1, 2, ..."""
    slots = slots[:, :n_rows]
    result = {}
    if "position_ids" in recorded:
        ids = recorded["position_ids"]
        result["position_ids"] = ids[0][slots.to(ids.device)]
    if "position_embeddings" in recorded:
        found = recorded["position_embeddings"]
        # Cosine and sine, or one tensor of complex numbers.
        several = found if isinstance(found, tuple) else (found,)
        cut = tuple(e[0][slots.to(e.device)] for e in several)
        result["position_embeddings"] = cut if isinstance(found, tuple) else cut[0]
    return result
