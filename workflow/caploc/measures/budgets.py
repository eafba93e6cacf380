"""Units of different kinds at one price: what silencing costs in weights, and sets for a budget.

    neuron       d for its output column, d for its row of each first projection of the FFN
    head         4 d d_head: query, key, value and output, also where heads share keys and values
    FFN layer    all its neurons

Units have one numbering: neurons layer by layer, then heads layer by layer, then FFN layers.
Biases, norms and embeddings belong to no unit, and are not in the total that a share is a share of.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caploc.measures.random_sets import draw_in_blocks

__all__ = ["KINDS", "LAYER", "Counts", "Units", "descending"]

Ids = NDArray[np.int64]
Counts = tuple[int, int, int]
"""Units of each kind in a set."""
KINDS = ("neuron", "head", "ffn layer")
LAYER = "ffn_layer"
"""The budget that is what one FFN layer costs."""


@dataclass(frozen=True, slots=True)
class Units:
    """Everything in a model that can be silenced.

    Attributes:
        n_layers: blocks.
        n_neurons: neurons in a layer.
        n_heads: attention heads in a layer.
        neuron_cost: weights of one neuron.
        head_cost: weights of one head.
    """

    n_layers: int
    n_neurons: int
    n_heads: int
    neuron_cost: int
    head_cost: int

    @property
    def sizes(self) -> Counts:
        """Units of each kind in the model."""
        return self.n_layers * self.n_neurons, self.n_layers * self.n_heads, self.n_layers

    @property
    def costs(self) -> Counts:
        """Weights of a unit of each kind."""
        return self.neuron_cost, self.head_cost, self.n_neurons * self.neuron_cost

    @property
    def total(self) -> int:
        """Weights of all neurons and heads."""
        neurons, heads, _ = self.sizes
        return neurons * self.neuron_cost + heads * self.head_cost

    def budget(self, share: float | str) -> int:
        """Weights that may be zeroed: a share of the total, or `LAYER`."""
        if share == LAYER:
            return self.costs[2]
        return math.floor(float(share) * self.total)

    def head(self, layer: int, head: int) -> int:
        """Number of an attention head."""
        return self.sizes[0] + layer * self.n_heads + head

    def ffn_layer(self, layer: int) -> int:
        """Number of an FFN layer."""
        return self.sizes[0] + self.sizes[1] + layer

    def kinds(self, ids: Ids) -> Ids:
        """(unit,) index in `KINDS`."""
        return np.searchsorted(np.cumsum(self.sizes), ids, side="right")

    def cost(self, ids: Ids) -> int:
        """Weights of a set."""
        return int(np.array(self.costs)[self.kinds(ids)].sum())

    def cheapest(self, ids: Ids) -> int:
        """Weights of the cheapest unit of a set; 0 for none."""
        return int(np.array(self.costs)[self.kinds(ids)].min()) if len(ids) else 0

    def counts(self, ids: Ids) -> Counts:
        """Units of each kind in a set."""
        neurons, heads, layers = np.bincount(self.kinds(ids), minlength=3).tolist()
        return neurons, heads, layers

    def fill(self, ranking: Ids, budget: int) -> Ids:
        """Take units in the order of a ranking, passing over those that no longer fit.

        Args:
            ranking: (unit,) the best one first.
            budget: most weights in all.

        Returns:
            (unit,) those taken, in the same order; empty if not even the cheapest one fits.
        """
        costs = np.array(self.costs)[self.kinds(ranking)]
        taken, left = [], budget
        cheapest = self.cheapest(ranking)
        for unit, cost in zip(ranking.tolist(), costs.tolist(), strict=True):
            if left < cheapest:
                break
            if cost <= left:
                taken.append(unit)
                left -= cost
        return np.array(taken, dtype=np.int64)

    def draw(self, counts: Counts, generator: np.random.Generator) -> Ids:
        """(unit,) as many units of each kind, drawn from all of that kind without replacement."""
        return draw_in_blocks(self.sizes, counts, generator)

    def n_sets(self, counts: Counts) -> int:
        """How many different sets `draw` can return."""
        return math.prod(math.comb(s, n) for s, n in zip(self.sizes, counts, strict=True))

    def grids(self, ids: Ids | Sequence[int]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(layer, neuron) and (layer, head) True where the set silences."""
        ids = np.asarray(ids, dtype=np.int64)
        neurons = np.zeros((self.n_layers, self.n_neurons), dtype=np.bool_)
        heads = np.zeros((self.n_layers, self.n_heads), dtype=np.bool_)
        kinds = self.kinds(ids)
        neurons.reshape(-1)[ids[kinds == 0]] = True
        heads.reshape(-1)[ids[kinds == 1] - self.sizes[0]] = True
        neurons[ids[kinds == 2] - self.sizes[0] - self.sizes[1]] = True
        return neurons, heads


def descending(
    scores: NDArray[np.floating], usable: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Indices from the largest score down; of equal ones the lower index first.

    Args:
        scores: (unit,) numbers.
        usable: (unit,) False where a unit is left out.
    """
    order = np.argsort(-scores, kind="stable")
    return order if usable is None else order[usable[order]]
