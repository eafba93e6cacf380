"""How far two sets of neurons agree, and what chance alone would give.

Every function takes two boolean grids of equal shape, whatever the unit is (layer and neuron;
layers; edges), and returns a fraction 0 to 1, or None where the formula is 0 / 0: `overlap` and
both chance values when either set is empty, `iou` when both are. None is not zero: an empty set has
no units that could agree or disagree.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MEASURES",
    "chance_overlap_layer",
    "chance_overlap_uniform",
    "iou",
    "overlap",
    "relative_error",
]

Mask = NDArray[np.bool_]


def overlap(a: Mask, b: Mask) -> float | None:
    """Share of the common units, averaged over both sets: (|ab| / |a| + |ab| / |b|) / 2.

    Args:
        a: a grid of any shape, True where located.
        b: the other set.

    Returns:
        0 to 1; None if either set is empty.

    Raises:
        ValueError: the grids differ in shape.

    Example:
        >>> caploc.overlap(found.mask, found.mask)
        1.0
    """
    return _relative(_counts(a, b)[2], a, b)


def iou(a: Mask, b: Mask) -> float | None:
    """Intersection over union: |ab| / |a or b|.

    Args:
        a: a grid of any shape, True where located.
        b: the other set.

    Returns:
        0 to 1; None if both sets are empty.

    Raises:
        ValueError: the grids differ in shape.

    Example:
        >>> caploc.iou(found.mask, ~found.mask)
        0.0
    """
    size_a, size_b, common = _counts(a, b)
    union = size_a + size_b - common
    return common / union if union else None


def chance_overlap_uniform(a: Mask, b: Mask) -> float | None:
    """Expected `overlap`, 0 to 1, if one set were drawn uniformly from the whole grid at its size.

    The expected intersection is |a| |b| / N for a grid of N units, so the overlap is
    (|a| + |b|) / (2 N). Arguments, None and errors as for `overlap`.
    """
    size_a, size_b, _ = _counts(a, b)
    return (size_a + size_b) / (2 * a.size) if size_a and size_b else None


def chance_overlap_layer(a: Mask, b: Mask) -> float | None:
    """Expected `overlap`, 0 to 1, if one set were drawn with its own count in every layer.

    With a_l and b_l neurons in layer l of width J, the expected intersection is
    sum_l a_l b_l / J. Arguments and None as for `overlap`, of (layer, neuron) grids.

    Raises:
        ValueError: the grids differ in shape, or have no layers of neurons.
    """
    _counts(a, b)
    if a.ndim != 2:
        raise ValueError(f"grids of shape {a.shape}; expected (layer, neuron)")
    per_layer = (grid.sum(axis=1, dtype=np.int64) for grid in (a, b))
    return _relative(float(np.dot(*per_layer)) / a.shape[1], a, b)


def _relative(common: float, a: Mask, b: Mask) -> float | None:
    """Units in common as a share of either set, averaged."""
    size_a, size_b, _ = _counts(a, b)
    return (common / size_a + common / size_b) / 2 if size_a and size_b else None


def _counts(a: Mask, b: Mask) -> tuple[int, int, int]:
    if a.shape != b.shape or not a.ndim:
        raise ValueError(f"grids of shape {a.shape} and {b.shape}; expected two equal grids")
    return int(np.count_nonzero(a)), int(np.count_nonzero(b)), int(np.count_nonzero(a & b))


MEASURES = {
    "overlap": overlap,
    "iou": iou,
    "chance_overlap_uniform": chance_overlap_uniform,
    "chance_overlap_layer": chance_overlap_layer,
}


def relative_error(scores: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Sum of the sizes of all differences, relative to the sum of the sizes of the reference."""
    return float(np.abs(scores - reference).sum() / np.abs(reference).sum())
