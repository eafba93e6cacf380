"""What a candidate may look at: the same for all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caploc.records import DataError, Dropped, Sample

__all__ = ["Given", "stacked"]


@dataclass(frozen=True, slots=True)
class Given:
    """Samples of the split locate.

    Attributes:
        own: of the capability whose neurons are wanted.
        others: of the other tasks, by id.
        neutral: text without a capability; may be empty.
    """

    own: Sequence[Sample]
    others: Mapping[str, Sequence[Sample]]
    neutral: Sequence[Sample]


def stacked(found: Sequence[Any]) -> NDArray[np.float64]:
    """(sample, layer, neuron) scores of the samples that fit the model.

    Args:
        found: per sample an array, a result with `scores`, or why it was left out.

    Raises:
        DataError: no sample fits.
    """
    kept = [getattr(f, "scores", f) for f in found if not isinstance(f, Dropped)]
    if not kept:
        raise DataError("no sample fits the model, so no neuron has a score; raise its context")
    return np.stack([np.asarray(k, dtype=np.float64) for k in kept])
