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

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from caploc.attribution.integration import Integral, direction
from caploc.attribution.prefix_attention import PrefixAttention
from caploc.attribution.recording import Recording, single_slots, slot_columns
from caploc.attribution.streams import row_gradients
from caploc.models._language_model import LanguageModel

__all__ = ["FIRST", "Adaptive", "adaptive_integral", "clenshaw_curtis", "path_nodes"]

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
    max_rows: int,
) -> Integral:
    """Integrate until the scores of every layer and slot add up.

    Args:
        lm: the model, with `attention` in place.
        attention: the attention function of the model.
        recording: from `record`.
        wanted: (sample, answer token) slots that matter; others are padding.
        settings: tolerance and cap.
        max_rows: most rows in one pass; a slot may need more.
    """
    wide = torch.promote_types(lm.dtype, torch.float32)
    tolerance = max(settings.tolerance, torch.finfo(lm.dtype).eps)
    variable = [_variable(lm, recording, layer) for layer in range(lm.n_layers)]
    nodes = [path_nodes(FIRST, *v) for v in variable]
    first = row_gradients(lm, attention, recording, [c[:-1].to(wide) for c, _ in nodes], True)
    assert first.slope_unchanged is not None and first.probability_unchanged is not None
    full = first.probability_unchanged
    slopes, counts = [], []
    for layer, (p, g) in enumerate(zip(first.probability, first.slope, strict=True)):
        at_one = full[..., None] * first.slope_unchanged[layer]
        values = torch.cat([p[..., None] * g, at_one[:, None]], dim=1).transpose(0, 1)
        slope = torch.einsum("nby,nbyw->byw", nodes[layer][1].to(wide), values)
        work = _Work(recording, layer, variable[layer], values, slope, full - p[:, 0], tolerance)
        counts.append(_refine(lm, attention, work, wanted, settings.most, max_rows))
        slopes.append(slope)
    return Integral(
        slopes,
        torch.stack([p[:, 0] for p in first.probability]),
        intervals=torch.stack(counts),
        center=torch.stack([v[0] for v in variable]),
        radius=torch.stack([v[1] for v in variable]),
    )


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
    max_rows: int,
) -> Tensor:  # fmt: skip
    """Double the intervals of slots whose gap is too large; (sample, answer token) intervals."""
    along = direction(work.recording, work.layer)
    intervals = torch.full(wanted.shape, FIRST, device=wanted.device)
    gap = ((work.slope * along).sum(-1) - work.effect).abs()
    samples, columns = torch.nonzero(wanted & (gap > work.tolerance), as_tuple=True)
    values = work.values[:, samples, columns]
    n = FIRST
    while len(samples) and 2 * n <= most:
        n *= 2
        center, radius = (v[samples, columns] for v in work.variable)
        points, weights = path_nodes(n, center, radius)
        between = _values(lm, attention, work, samples, columns, points[1::2], max_rows)
        both = values.new_empty(n + 1, *values.shape[1:])
        both[::2], both[1::2] = values, between
        slope = torch.einsum("nt,ntw->tw", weights.to(both.dtype), both)
        work.slope[samples, columns] = slope
        intervals[samples, columns] = n
        gap = ((slope * along[samples, columns]).sum(-1) - work.effect[samples, columns]).abs()
        left = gap > work.tolerance
        samples, columns, values = samples[left], columns[left], both[:, left]
    return intervals


def _values(
    lm: LanguageModel, attention: PrefixAttention, work: _Work, samples: Tensor, columns: Tensor,
    points: Tensor, max_rows: int,
) -> Tensor:  # fmt: skip
    """dP/d(source) (point, slot, width or neuron) at `points` (point, slot) of one layer."""
    wide = work.values.dtype
    behind = max(1, lm.n_layers - 1 - work.layer)
    step = max(1, max_rows // (len(points) * behind))
    found = []
    for first in range(0, len(samples), step):
        b, y = samples[first : first + step], columns[first : first + step]
        c = points[:, first : first + step].to(wide)
        alone = len(work.recording.slots) == 1
        # One sample: its keys are shared as they are. Several: every slot has its own copy.
        part = slot_columns(work.recording, y) if alone else single_slots(work.recording, b, y)
        c = c[:, None] if alone else c[:, :, None]
        nowhere = c[:0]
        layers = [c if layer == work.layer else nowhere for layer in range(lm.n_layers)]
        result = row_gradients(lm, attention, part, layers, False)
        p, g = result.probability[work.layer], result.slope[work.layer]
        value = p[..., None] * g
        found.append(value[0] if alone else value[:, :, 0].transpose(0, 1))
    return torch.cat(found, dim=1)


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
