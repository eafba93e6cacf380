"""What is a task's own among the scores of several tasks."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["against_others"]


def against_others(own: ArrayLike, others: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """Own score less the largest score, in size, that any other task gives.

    Args:
        own: (layer, neuron) scores of the task.
        others: the same of each other task, on the same scale; at least one.

    Returns:
        (layer, neuron): above 0 where a neuron speaks for this task more than it matters to any
        other.

    Raises:
        ValueError: no other task, or another shape.
    """
    grid = np.asarray(own, dtype=np.float64)
    rest = [np.asarray(scores, dtype=np.float64) for scores in others]
    if not rest:
        raise ValueError("no other task to compare with; give at least two tasks")
    wrong = [scores.shape for scores in rest if scores.shape != grid.shape]
    if wrong:
        raise ValueError(f"scores of another task have shape {wrong[0]}, expected {grid.shape}")
    largest: NDArray[np.float64] = np.abs(rest).max(axis=0)
    return grid - largest
