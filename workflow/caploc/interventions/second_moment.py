"""Second moment of the keys of an FFN: C = mean of k k^T over all tokens of some texts.

One text after the other is added, so memory does not depend on their number; what was added so far
can be kept and gone on with.

Source: Meng et al. 2022, section 3.1; their public code takes 100,000 samples of Wikipedia.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from caploc.forward.hooks import recorded_neurons
from caploc.models.language_model import LanguageModel

__all__ = ["Moments", "factorised"]

_SINGULAR = 1e-10
"""Smallest eigenvalue, relative to the largest, that still counts as invertible."""


@dataclass(slots=True)
class Moments:
    """Sums over the texts so far, of some layers.

    Attributes:
        layers: indices of the layers.
        total: (layer, neuron, neuron) sum of k k^T, float64.
        n_tokens: tokens added.
        n_texts: texts added.
    """

    layers: list[int]
    total: Tensor
    n_tokens: int = 0
    n_texts: int = 0

    @classmethod
    def empty(cls, lm: LanguageModel, layers: Sequence[int]) -> "Moments":
        """Nothing added yet."""
        shape = (len(layers), lm.n_neurons, lm.n_neurons)
        return cls(list(layers), torch.zeros(shape, dtype=torch.float64))

    def add(self, lm: LanguageModel, texts: Iterable[Sequence[int]]) -> None:
        """Add the tokens of some texts, each a list of ids of at least one token."""
        for ids in texts:
            row = torch.tensor([list(ids)], device=lm.device)
            for total, w in zip(self.total, recorded_neurons(lm, row, self.layers), strict=True):
                keys = w[0].double().cpu()
                total.addmm_(keys.T, keys)
            self.n_tokens += len(ids)
            self.n_texts += 1

    def mean(self, layer: int) -> Tensor:
        """(neuron, neuron) C of one layer."""
        return self.total[self.layers.index(layer)] / max(1, self.n_tokens)


def factorised(moment: Tensor, ridge: float) -> tuple[Tensor, bool]:
    """Cholesky factor of C, and whether something had to be added to C for that.

    Args:
        moment: (neuron, neuron) C.
        ridge: what is added to the diagonal of a singular C, relative to its mean; above 0.

    Returns:
        (neuron, neuron) lower factor of C, or of C + ridge * mean(diag C) * I where the smallest
        eigenvalue is below 1e-10 of the largest.
    """
    values = torch.linalg.eigvalsh(moment)
    singular = not bool(values[0] > _SINGULAR * values[-1])
    if singular:
        # All keys may be 0 where no text was read.
        added = ridge * float(moment.diagonal().mean()) or 1.0
        moment = moment + added * torch.eye(len(moment), dtype=moment.dtype)
    return torch.linalg.cholesky(moment), singular
