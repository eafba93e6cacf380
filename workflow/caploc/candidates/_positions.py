"""Sums over all positions of prompt and answer, for candidates that read activations alone."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caploc.forward.answer_pass import answer_passes
from caploc.models.language_model import LanguageModel
from caploc.records import DataError, Sample

__all__ = ["mean_over_positions"]


@torch.no_grad()
def mean_over_positions(
    lm: LanguageModel,
    samples: Sequence[Sample],
    of: Callable[[Tensor], Tensor],
    gates: bool = False,
) -> NDArray[np.float64]:
    """(layer, neuron) mean of a function of the neurons over all positions of all samples.

    Args:
        lm: the model, with its tokenizer.
        samples: prompts with answers; the last answer token is not read.
        of: (sample, position, neuron) values to numbers of the same shape.
        gates: read the first projection, in front of the nonlinearity, in place of the neuron.

    Raises:
        DataError: no sample fits the model.
    """
    total = torch.zeros(lm.n_layers, lm.n_neurons, dtype=torch.float64)
    seen: list[Tensor] = []
    handles = [
        gate.register_forward_hook(lambda m, a, out: seen.append(out[..., : lm.n_neurons]))
        for gate in (lm.gates if gates else [])
    ]
    n = 0.0
    try:
        for found in answer_passes(lm, samples):
            if isinstance(found, tuple):
                continue
            values = seen if gates else found.neurons
            for layer, w in enumerate(values):
                w = of(w.reshape(*found.read.shape, -1)).double()
                total[layer] += torch.einsum("sp,spj->j", found.read.double(), w).cpu()
            n += float(found.read.sum())
            seen.clear()
    finally:
        for handle in handles:
            handle.remove()
    if not n:
        raise DataError("no sample fits the model, so no neuron has a score; raise its context")
    return (total / n).numpy()
