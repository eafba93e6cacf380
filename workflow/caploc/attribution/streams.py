"""Rows of all layers and path points travel through the blocks together.

A row is the residual stream at one slot in which the neurons of one layer were scaled by c. Blocks
add the output of the projection linearly, so behind block l the row starts as

    x = hidden_l + (c - 1) * written_l

without running block l again. Rows of layer l join those of the layers before it, so block k sees
rows of all layers < k; the norm and the head see the rows of all layers.

At c = 1 all layers have the same, unchanged stream: one row per slot serves them all, and its
gradient at the output of every block is read off in the same backward pass.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from caploc.attribution.head import answer_probability
from caploc.attribution.prefix_attention import PrefixAttention
from caploc.attribution.recording import Recording
from caploc.models._language_model import LanguageModel

__all__ = ["Gradients", "Rows", "forward_rows", "row_gradients"]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows on their way, answer token fastest.

    Attributes:
        inputs: per layer (sample, row, width): the rows behind that block, new ones last. They
            are ordered (path row, answer token); the unchanged row comes first if there is one.
        final: (sample, row, width) normed residual of all rows.
    """

    inputs: list[Tensor]
    final: Tensor


@dataclass(frozen=True, slots=True)
class Gradients:
    """Result for one set of path points.

    Attributes:
        probability: (layer, sample, point, answer token) P at each point.
        slope: (layer, sample, answer token, width) sum over points of weight * dP/d(block output).
    """

    probability: Tensor
    slope: Tensor


def forward_rows(
    lm: LanguageModel,
    attention: PrefixAttention,
    recording: Recording,
    points: Tensor,
    with_unchanged: bool,
) -> Rows:
    """Send the rows of all layers and points through the blocks.

    Args:
        lm: the model, with `attention` in place.
        attention: the attention function of the model.
        recording: from `record`.
        points: (point,) fractions c.
        with_unchanged: also send one row with c = 1 per slot, for all layers.
    """
    B, Y = recording.slots.shape
    attention.prefix = recording.prefix()
    most = int(with_unchanged) + len(points) * lm.n_layers
    slots = recording.slots[:, None].expand(B, most, Y).reshape(B, -1)
    scale = (points - 1)[:, None, None]
    rows = torch.empty(B, 0, recording.final.shape[-1], device=lm.device, dtype=lm.dtype)
    if with_unchanged:
        rows = recording.hidden[0]
    inputs: list[Tensor] = []
    for layer, block in enumerate(lm.blocks):
        if layer and rows.shape[1]:
            output = block(rows, **_positional(recording.positional[layer], slots, rows.shape[1]))
            rows = output[0] if isinstance(output, tuple) else output
        hidden, written = recording.hidden[layer], recording.written[layer]
        # The sum is formed in float32 at least and rounded once.
        new = (hidden[:, None] + scale * written[:, None]).to(lm.dtype)
        rows = torch.cat([rows, new.flatten(1, 2)], dim=1)
        if not layer:
            rows.requires_grad_(True)
        inputs.append(rows)
    return Rows(inputs, lm.final_norm(rows))


def row_gradients(
    lm: LanguageModel,
    attention: PrefixAttention,
    recording: Recording,
    points: Tensor,
    weights: Tensor,
    weight_of_unchanged: float | None,
) -> Gradients:
    """Probabilities at the path points and the weighted sum of their gradients.

    Args:
        lm: the model, with `attention` in place.
        attention: the attention function of the model.
        recording: from `record`.
        points: (point,) fractions c, float32 or wider.
        weights: (point,) weights, as points.
        weight_of_unchanged: weight of the point c = 1, shared by all layers; None if it is not
            among the points or was counted before.
    """
    B, Y = recording.slots.shape
    shared = int(weight_of_unchanged is not None)
    with torch.enable_grad():
        rows = forward_rows(lm, attention, recording, points, bool(shared))
    n_rows = rows.final.shape[1]
    targets = recording.targets.repeat(1, n_rows // Y).flatten()
    with torch.no_grad():
        final = rows.final.detach().flatten(0, 1)
        probability, seed = answer_probability(lm.head, final, targets)
    gradients = torch.autograd.grad(rows.final, rows.inputs, seed.view_as(rows.final))
    probability = probability.view(B, n_rows // Y, Y)
    slopes, values = [], []
    for layer, gradient in enumerate(gradients):
        first = shared + layer * len(points)
        p = probability[:, first : first + len(points)]
        g = gradient.unflatten(1, (-1, Y))[:, first:].to(p.dtype)
        slope = torch.einsum("bny,bnyw->byw", p * weights[:, None], g)
        if weight_of_unchanged is not None:
            slope += weight_of_unchanged * probability[:, 0, :, None] * gradient[:, :Y]
        slopes.append(slope)
        values.append(p)
    return Gradients(torch.stack(values), torch.stack(slopes))


def _positional(recorded: dict, slots: Tensor, n_rows: int) -> dict:
    """Keyword arguments of a block for rows: positions of the slots instead of 0, 1, 2, ..."""
    slots = slots[:, :n_rows]
    result = {}
    if "position_ids" in recorded:
        result["position_ids"] = recorded["position_ids"][0][slots]
    if "position_embeddings" in recorded:
        result["position_embeddings"] = tuple(e[0][slots] for e in recorded["position_embeddings"])
    return result
