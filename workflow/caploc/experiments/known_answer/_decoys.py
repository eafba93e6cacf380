"""Decoys: neurons put into a trained model that a locator of a capability should not return.

The neurons were silent during training, so writing their weights adds exactly what the weights say.
Kinds are those of `_layout.DECOYS`; ``shared`` neurons are trained, not written.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from caploc.experiments.known_answer._layout import Layout

__all__ = ["write_decoys"]

_LOUDER = 4.0
_NEARLY_NOTHING = 1e-4
_AGAINST = -0.25


@torch.no_grad()
def write_decoys(model: Any, layout: Layout, sizes: NDArray[np.float64]) -> None:
    """Write the weights of loud, cancelling and negative neurons, in place.

    Args:
        model: trained ``LlamaForCausalLM``.
        layout: roles of its neurons.
        sizes: (layer, neuron) how much each neuron writes into the residual stream; decoys imitate
            the largest ones.
    """
    reserved = layout.of("loud", "cancelling", "negative")
    for layer, block in enumerate(model.model.layers):
        # Where there are fewer neurons to imitate than places, the rest stays silent.
        block.mlp.down_proj.weight[:, torch.from_numpy(reserved[layer])] = 0
        order = np.argsort(-sizes[layer], kind="stable")
        loudest = [int(j) for j in order if not reserved[layer, j]]
        loud = np.flatnonzero(layout.of("loud")[layer])
        for j, source in zip(loud, loudest, strict=False):
            _write(block.mlp, int(j), source, _LOUDER, _NEARLY_NOTHING)
        pairs = np.flatnonzero(layout.of("cancelling")[layer]).reshape(-1, 2)
        for (j, k), source in zip(pairs, loudest, strict=False):
            _write(block.mlp, int(j), source, 1.0, _LOUDER)
            _write(block.mlp, int(k), source, 1.0, -_LOUDER)
        for capability in layout.capabilities:
            against = np.flatnonzero(layout.of("negative", capability=capability)[layer])
            planted = layout.of("planted", capability=capability)[layer]
            sources = [j for j in loudest if planted[j]]
            for j, source in zip(against, sources, strict=False):
                _write(block.mlp, int(j), source, 1.0, _AGAINST)


def _write(mlp: Any, j: int, source: int, louder: float, column: float) -> None:
    """Neuron j: activations of `source` times `louder`, its output column times `column`."""
    mlp.gate_proj.weight[j] = mlp.gate_proj.weight[source]
    mlp.up_proj.weight[j] = mlp.up_proj.weight[source] * louder
    mlp.down_proj.weight[:, j] = mlp.down_proj.weight[:, source] * column
