"""The integral of the gradient over the path of one set of slots, by a fixed rule.

Only weight * P * d log P summed over the points is kept: one vector per layer and slot.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from caploc.attribution.batching import Batch
from caploc.attribution.prefix_attention import PrefixAttention
from caploc.attribution.recording import Recording
from caploc.attribution.rules import PathRule
from caploc.attribution.streams import Gradients, row_gradients
from caploc.models.language_model import LanguageModel

__all__ = ["Integral", "direction", "fixed_integral", "passes"]


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


def passes(
    lm: LanguageModel, attention: PrefixAttention, recording: Recording, points: list[Tensor],
    with_unchanged: bool, batch: Batch,
) -> Iterator[tuple[range, slice, Gradients]]:  # fmt: skip
    """All points of all layers, as many at a time as a batch says.

    Args:
        lm: the model, with `attention` in place.
        attention: the attention function of the model.
        recording: from `record`.
        points: per layer (point, sample or 1, answer token or 1) fractions c, as many everywhere.
        with_unchanged: also c = 1; it comes with the first pass.
        batch: points and layers that travel together.

    Yields:
        The layers and the points of a pass, and what `row_gradients` says of them; points of
        other layers are missing.
    """
    for layer in range(0, lm.n_layers, batch.n_layers):
        layers = range(layer, min(layer + batch.n_layers, lm.n_layers))
        for first in range(0, len(points[0]), batch.n_points):
            part = slice(first, first + batch.n_points)
            chosen = [c[part] if i in layers else c[:0] for i, c in enumerate(points)]
            # Not in a variable here, which would hold it during the next pass.
            yield (
                layers,
                part,
                row_gradients(
                    lm, attention, recording, chosen, with_unchanged and not layer and not first,
                    recompute=batch.recompute, head_rows=batch.head_rows,
                ),
            )  # fmt: skip


def fixed_integral(
    lm: LanguageModel,
    attention: PrefixAttention,
    recording: Recording,
    path: PathRule,
    batch: Batch,
) -> Integral:
    """Integrate with the same points and weights everywhere.

    Args:
        lm: the model, with `attention` in place.
        attention: the attention function of the model.
        recording: from `record`.
        path: the rule.
        batch: points and layers that travel together.
    """
    wide = torch.promote_types(lm.dtype, torch.float32)
    points, weights = (
        torch.tensor(x, dtype=wide, device=lm.device)[:, None, None] for x in path.scaled
    )
    one = path.weight_of_one
    sums = _Sums(recording, one, path.weights[0] / 2 if path.name == "inclusive" else None, lm)
    found = passes(lm, attention, recording, [points] * lm.n_layers, one is not None, batch)
    for layers, part, gradients in found:
        sums.add(layers, not part.start, weights[part], gradients)
        del gradients
    ends = torch.stack(sums.ends) if sums.ends else None
    return Integral(sums.slope, torch.stack(sums.at_zero), ends)


class _Sums:
    """What is summed over the passes of a fixed rule; see `Integral`."""

    def __init__(
        self, recording: Recording, one: float | None, end: float | None, lm: LanguageModel
    ) -> None:
        self._recording = recording
        self._one = one
        self._end = end
        self._wide = torch.promote_types(lm.dtype, torch.float32)
        self.slope: list[Tensor] = []
        self.at_zero: list[Tensor] = []
        self.ends: list[Tensor] = []

    def add(self, layers: range, at_zero: bool, weights: Tensor, found: Gradients) -> None:
        """One pass; weights (point, 1, 1), `at_zero` if the path begins in it."""
        if found.slope_unchanged is not None:
            self._at_one(found)
        for layer in layers:
            p, g = found.probability[layer], found.slope[layer]
            part = torch.einsum("bny,bnyw->byw", p * weights.transpose(0, 1), g.to(self._wide))
            if layer < len(self.slope):
                self.slope[layer] += part
            else:
                self.slope.append(part)
            if not at_zero:
                continue
            self.at_zero.append(p[:, 0])
            if self._end is not None:
                at = p[:, 0, :, None] * g[:, 0]
                self.ends[layer] += self._along(at, layer)

    def _at_one(self, found: Gradients) -> None:
        """The unchanged row, which is counted once, for all layers."""
        assert found.slope_unchanged and found.probability_unchanged is not None
        assert self._one is not None
        for layer, g in enumerate(found.slope_unchanged):
            at = found.probability_unchanged[..., None] * g
            self.slope.append(self._one * at)
            if self._end is not None:
                self.ends.append(self._along(at, layer))

    def _along(self, at: Tensor, layer: int) -> Tensor:
        assert self._end is not None
        return (at * direction(self._recording, layer)).sum(-1) * self._end
