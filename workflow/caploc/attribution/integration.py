"""The integral of the gradient over the path of one set of slots, by a fixed rule.

Only weight * P * d log P summed over the points is kept: one vector per layer and slot.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from caploc.attribution.prefix_attention import PrefixAttention
from caploc.attribution.recording import Recording
from caploc.attribution.rules import PathRule
from caploc.attribution.streams import row_gradients
from caploc.models._language_model import LanguageModel

__all__ = ["Integral", "direction", "fixed_integral"]


@dataclass(frozen=True, slots=True)
class Integral:
    """Result for the slots of a recording; axes (layer, sample, answer token).

    Attributes:
        slope: per layer (sample, answer token, width or neuron) integral of dP/d(source), see
            `streams.Rows`.
        at_zero: P with the neurons of the layer at 0.
        endpoint: (f(0) + f(1)) / 2S, by which the rule ``inclusive`` exceeds the trapezoid rule,
            f(c) being the derivative of P along the path; None for other rules.
        intervals: number of intervals of an adaptive rule; None for a fixed one.
        center: its change of variable, see `adaptive`; None for a fixed rule.
        radius: as center.
    """

    slope: list[Tensor]
    at_zero: Tensor
    endpoint: Tensor | None = None
    intervals: Tensor | None = None
    center: Tensor | None = None
    radius: Tensor | None = None


def direction(recording: Recording, layer: int) -> Tensor:
    """d(source)/dc (sample, answer token, width or neuron): a slope times it is dP/dc."""
    written = recording.written
    return recording.neurons[layer] if written is None else written[layer]


def fixed_integral(
    lm: LanguageModel,
    attention: PrefixAttention,
    recording: Recording,
    path: PathRule,
    n_points: int,
) -> Integral:
    """Integrate with the same points and weights everywhere.

    Args:
        lm: the model, with `attention` in place.
        attention: the attention function of the model.
        recording: from `record`.
        path: the rule.
        n_points: points that travel together.
    """
    wide = torch.promote_types(lm.dtype, torch.float32)
    points, weights = (
        torch.tensor(x, dtype=wide, device=lm.device)[:, None, None] for x in path.scaled
    )
    one = path.weight_of_one
    slope: list[Tensor] = []
    at_zero: list[Tensor] = []
    ends: list[Tensor] = []
    for first in range(0, len(points), n_points):
        c, a = points[first : first + n_points], weights[first : first + n_points]
        # The unchanged row is counted once.
        found = row_gradients(
            lm, attention, recording, [c] * lm.n_layers, one is not None and not first
        )
        for layer, (p, g) in enumerate(zip(found.probability, found.slope, strict=True)):
            part = torch.einsum("bny,bnyw->byw", p * a.transpose(0, 1), g.to(wide))
            if one is not None and not first:
                assert found.slope_unchanged and found.probability_unchanged is not None
                at_one = found.probability_unchanged[..., None] * found.slope_unchanged[layer]
                part += one * at_one
            if first:
                slope[layer] += part
                continue
            slope.append(part)
            # The path begins at 0.
            at_zero.append(p[:, 0])
            if path.name == "inclusive":
                both = p[:, 0, :, None] * g[:, 0] + at_one
                ends.append((both * direction(recording, layer)).sum(-1) * path.weights[0] / 2)
    return Integral(slope, torch.stack(at_zero), torch.stack(ends) if ends else None)
