"""Scale the activation of chosen neurons for good: by 0 they are erased, by 2 enhanced untrained.

An activation enters the model only through its column of the output projection, so multiplying that
column is the same as multiplying the activation at every position and step, and an ordinary saved
model carries it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from numpy.typing import ArrayLike

from caploc.interventions.slices import Slices
from caploc.models.language_model import LanguageModel

__all__ = ["scale", "scaled"]


def scale(lm: LanguageModel, mask: ArrayLike, factor: float) -> Slices:
    """Multiply the activation of the chosen neurons for good.

    Args:
        lm: the model.
        mask: (layer, neuron) True where chosen.
        factor: finite; 0 erases.

    Raises:
        DataError: as `Slices`.

    Returns:
        What can put the weights back.
    """
    columns = Slices(lm, mask, "out")
    with torch.no_grad():
        for value in columns.values.values():
            value.mul_(factor)
    columns.write()
    return columns


@contextmanager
def scaled(lm: LanguageModel, mask: ArrayLike, factor: float) -> Iterator[None]:
    """As `scale`, but afterwards the weights are back."""
    columns = scale(lm, mask, factor)
    try:
        yield
    finally:
        columns.restore()
