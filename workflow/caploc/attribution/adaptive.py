"""The path integral to a tolerance: more points only where (layer, token) needs them.

*Variable.* Behind layer l the stream is x(c) = h + c u, straight in c, but the next norm only sees
its direction, which turns from h to u within a short piece of the path where u is much longer than
h (layer 0, whose h is a bare embedding). In the angle of that turn,

    c = center + radius * tan(angle),    center = -h.u / u.u,    radius = |h + center u| / |u|,

the turn has constant speed. For other layers the change is mild and does no harm. With generic
injection the stream is not straight and c itself is the variable.

*Points.* Clenshaw-Curtis in the angle with 4 intervals, then 8, 16, ...: every point is used again,
both ends are points, c = 0 is wanted anyway for P(0) and c = 1 is one row for all layers.

*Where.* The scores of a layer must add up to P(1) - P(0). Slots whose sum is off by more than the
tolerance get twice the intervals, until it holds or the cap is reached.

Source: Clenshaw and Curtis 1960; completeness of integrated gradients, Sundararajan et al. 2017.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from caploc.attribution.batching import Batch
from caploc.attribution.integration import Integral, direction, passes
from caploc.attribution.prefix_attention import PrefixAttention
from caploc.attribution.recording import Recording, single_slots, slot_columns
from caploc.attribution.streams import row_gradients
from caploc.models.language_model import LanguageModel

__all__ = ["FIRST", "Adaptive", "Room", "adaptive_integral", "clenshaw_curtis", "path_nodes"]

FIRST = 4
# A radius of the path itself: the change of variable is then c = s to 1e-6.
_STRAIGHT = 1e3


@dataclass(frozen=True, slots=True)
class Adaptive:
    """Where an adaptive integration stops.

    Attributes:
        tolerance: largest gap in probability that is left alone; rounding of the model's dtype is
            the least.
        most: cap on the intervals of a (layer, token), at least 4.
    """

    tolerance: float
    most: int


@dataclass(frozen=True, slots=True)
class Room:
    """What may be refined at once.

    Attributes:
        slots: whose values are held together.
        step: slots and points of a pass, for so many points and so many blocks behind the layer.
    """

    slots: int
    step: Callable[[int, int], tuple[int, int]]


@cache
def clenshaw_curtis(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points and weights (n + 1,) on [0, 1], ascending; n even."""
    k = np.arange(n + 1)
    j = np.arange(1, n // 2 + 1)
    cosines = np.cos(2 * np.pi * np.outer(k, j) / n)
    weights = 1 - cosines @ (np.where(2 * j == n, 1, 2) / (4 * j**2 - 1))
    weights *= np.where((k == 0) | (k == n), 1, 2) / n
    return (1 - np.cos(np.pi * k / n)) / 2, weights / 2


def path_nodes(n: int, center: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
    """Points c and weights that were used.

    Args:
        n: intervals.
        center: any shape, of the change of variable.
        radius: as center.

    Returns:
        (n + 1, ...) points, 0 to 1 ascending, and their weights, in float64.
    """
    s, w = (torch.tensor(x, device=center.device) for x in clenshaw_curtis(n))
    s, w = (x.reshape(-1, *[1] * center.dim()) for x in (s, w))
    center, radius = center.double(), radius.double()
    start = torch.atan(-center / radius)
    turn = torch.atan((1 - center) / radius) - start
    angle = start + turn * s
    points = (center + radius * torch.tan(angle)).clamp(0, 1)
    # The ends exactly, not to rounding.
    points[0], points[-1] = 0, 1
    return points, w * turn * radius / torch.cos(angle) ** 2


def adaptive_integral(
    lm: LanguageModel,
    attention: PrefixAttention,
    recording: Recording,
    wanted: Tensor,
    settings: Adaptive,
    batch: Batch,
    room: Room,
) -> Integral:
    """Integrate until the scores of every layer and slot add up.

    Args:
        lm: the model, with `attention` in place.
        attention: the attention function of the model.
        recording: from `record`.
        wanted: (sample, answer token) slots that matter; others are padding.
        settings: tolerance and cap.
        batch: points and layers that travel together at first.
        room: what may be refined at once.
    """
    wide = torch.promote_types(lm.dtype, torch.float32)
    tolerance = max(settings.tolerance, torch.finfo(lm.dtype).eps)
    variable = [_variable(lm, recording, layer) for layer in range(lm.n_layers)]
    nodes = [path_nodes(FIRST, *v) for v in variable]
    kept, full = _at_first_points(lm, attention, recording, [c for c, _ in nodes], batch)
    slopes, counts, zeroed = [], [], []
    for layer, (values, p) in enumerate(kept):
        slope = torch.einsum("nby,nbyw->byw", nodes[layer][1].to(wide), values)
        work = _Work(recording, layer, variable[layer], values, slope, full - p, tolerance)
        counts.append(_refine(lm, attention, work, wanted, settings.most, batch, room))
        slopes.append(slope)
        zeroed.append(p)
    return Integral(
        slopes,
        torch.stack(zeroed),
        intervals=torch.stack(counts),
        center=torch.stack([v[0] for v in variable]),
        radius=torch.stack([v[1] for v in variable]),
    )


def _at_first_points(
    lm: LanguageModel, attention: PrefixAttention, recording: Recording, points: list[Tensor],
    batch: Batch,
) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:  # fmt: skip
    """Per layer dP/d(source) (point, sample, answer token, ...) and P at 0; P at 1."""
    wide = torch.promote_types(lm.dtype, torch.float32)
    B, Y = recording.slots.shape
    shape = (B, len(points[0]), Y, direction(recording, 0).shape[-1])
    # The values at 1 are the last of a layer.
    values = [torch.empty(shape, dtype=wide, device=lm.device) for _ in points]
    at_zero: list[Tensor] = []
    full = None
    below = [c[:-1].to(wide) for c in points]
    for layers, part, first in passes(lm, attention, recording, below, True, batch):
        if first.slope_unchanged is not None:
            assert first.probability_unchanged is not None
            full = first.probability_unchanged
            for layer, g in enumerate(first.slope_unchanged):
                values[layer][:, -1] = full[..., None] * g
        for layer in layers:
            p, g = first.probability[layer], first.slope[layer]
            values[layer][:, :-1][:, part] = p[..., None] * g
            if not part.start:
                at_zero.append(p[:, 0])
        del first, p, g
    assert full is not None
    return [(v.transpose(0, 1), p) for v, p in zip(values, at_zero, strict=True)], full


@dataclass(frozen=True, slots=True)
class _Work:
    """One layer: what is known at the first points, and the slope (changed in place)."""

    recording: Recording
    layer: int
    variable: tuple[Tensor, Tensor]
    values: Tensor
    slope: Tensor
    effect: Tensor
    tolerance: float


def _refine(
    lm: LanguageModel, attention: PrefixAttention, work: _Work, wanted: Tensor, most: int,
    batch: Batch, room: Room,
) -> Tensor:  # fmt: skip
    """Double the intervals of slots whose gap is too large; (sample, answer token) intervals."""
    along = direction(work.recording, work.layer)
    intervals = torch.full(wanted.shape, FIRST, device=wanted.device)
    gap = ((work.slope * along).sum(-1) - work.effect).abs()
    found = torch.nonzero(wanted & (gap > work.tolerance), as_tuple=True)
    for samples, columns in zip(*(x.split(room.slots) for x in found), strict=True):
        values = work.values[:, samples, columns]
        n = FIRST
        while len(samples) and 2 * n <= most:
            n *= 2
            center, radius = (v[samples, columns] for v in work.variable)
            points, weights = path_nodes(n, center, radius)
            both = values.new_empty(n + 1, *values.shape[1:])
            both[::2] = values
            _fill(lm, attention, work, (samples, columns), points[1::2], both[1::2], batch, room)
            slope = torch.einsum("nt,ntw->tw", weights.to(both.dtype), both)
            work.slope[samples, columns] = slope
            intervals[samples, columns] = n
            gap = ((slope * along[samples, columns]).sum(-1) - work.effect[samples, columns]).abs()
            left = gap > work.tolerance
            samples, columns, values = samples[left], columns[left], both[:, left]
    return intervals


def _fill(
    lm: LanguageModel, attention: PrefixAttention, work: _Work, where: tuple[Tensor, Tensor],
    points: Tensor, found: Tensor, batch: Batch, room: Room,
) -> None:  # fmt: skip
    """Put dP/d(source) of one layer at `points` (point, slot) into `found`."""
    behind = max(1, lm.n_layers - 1 - work.layer)
    n_slots, n_points = room.step(len(points), behind)
    for first in range(0, len(where[0]), n_slots):
        part = slice(first, first + n_slots)
        b, y = where[0][part], where[1][part]
        alone = len(work.recording.slots) == 1
        # One sample: its keys are shared as they are. Several: every slot has its own copy.
        cut = slot_columns(work.recording, y) if alone else single_slots(work.recording, b, y)
        for at in range(0, len(points), n_points):
            rows = slice(at, at + n_points)
            found[rows, part] = _values(lm, attention, work, cut, points[rows, part], batch)


def _values(
    lm: LanguageModel, attention: PrefixAttention, work: _Work, cut: Recording, points: Tensor,
    batch: Batch,
) -> Tensor:  # fmt: skip
    """dP/d(source) (point, slot, width or neuron) of one pass."""
    alone = len(work.recording.slots) == 1
    c = points.to(work.values.dtype)
    c = c[:, None] if alone else c[:, :, None]
    layers = [c if layer == work.layer else c[:0] for layer in range(lm.n_layers)]
    result = row_gradients(
        lm, attention, cut, layers, False, recompute=batch.recompute, head_rows=batch.head_rows
    )
    value = result.probability[work.layer][..., None] * result.slope[work.layer]
    return value[0] if alone else value[:, :, 0].transpose(0, 1)


def _variable(lm: LanguageModel, recording: Recording, layer: int) -> tuple[Tensor, Tensor]:
    """Center and radius (sample, answer token) of the change of variable."""
    if recording.written is None:
        zero = torch.zeros(recording.slots.shape, dtype=torch.float64, device=lm.device)
        return zero, zero + _STRAIGHT
    u = recording.written[layer].double()
    h = recording.hidden[layer].double() - u
    if isinstance(lm.final_norm, nn.LayerNorm):
        # Such a norm sees differences from the mean.
        h, u = (x - x.mean(-1, keepdim=True) for x in (h, u))
    length = u.norm(dim=-1).clamp(min=torch.finfo(torch.float32).tiny)
    center = -(h * u).sum(-1) / length**2
    radius = (h + center[..., None] * u).norm(dim=-1) / length
    # Where nothing turns, or everything at once, the angle says nothing.
    return center.clamp(-_STRAIGHT, _STRAIGHT), radius.clamp(1e-6, _STRAIGHT)
