"""LoRA on the FFN, with as nearly as possible a wanted number of trained values: a comparison row.

Each projection W of the FFN becomes W + B A with A (rank, in) and B (out, rank), B = 0 at the start
and no further scale, so a rank costs in + out values for each projection. The number of values is
steered by the rank and by how many layers take part.

Source: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2021; implementation: peft.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from caploc.models.language_model import LanguageModel
from caploc.records import DataError

__all__ = ["LowRank", "Size", "nearest_size"]


@dataclass(frozen=True, slots=True)
class Size:
    """What makes the number of trained values.

    Attributes:
        rank: of every adapter.
        layers: that have adapters, ascending.
        n_trained: trained values.
    """

    rank: int
    layers: tuple[int, ...]
    n_trained: int


def nearest_size(wanted: int, per_layer: Sequence[int], order: Sequence[int], limit: int) -> Size:
    """Rank and layers whose number of values is nearest to `wanted`; of equals, the most layers.

    Args:
        wanted: number of trained values.
        per_layer: (layer,) values that one rank costs in a layer.
        order: layers in the order in which they take part.
        limit: highest rank.
    """
    sizes = []
    for n in range(1, len(order) + 1):
        one = sum(per_layer[layer] for layer in order[:n])
        for rank in {min(max(1, wanted // one + i), limit) for i in (0, 1)}:
            sizes.append(Size(rank, tuple(sorted(order[:n])), rank * one))
    return min(sizes, key=lambda s: (abs(s.n_trained - wanted), -len(s.layers), s.rank))


class LowRank:
    """Adapters in a model; `restore` takes them out again and leaves the weights untouched.

    Args:
        lm: frozen model.
        wanted: number of trained values to come near to.
        order: layers in the order in which they take part, e.g. by number of located neurons.
        seed: of the matrices A.

    Attributes:
        size: what was reached.

    Raises:
        DataError: peft is not installed.
    """

    def __init__(self, lm: LanguageModel, wanted: int, order: Sequence[int], seed: int) -> None:
        try:
            # It takes seconds to import, and only this row needs it.
            import peft
        except ImportError:
            raise DataError(
                "the arm `lora` needs the package peft: install it (envs/requirements.txt names "
                "the version), or leave `lora` out of experiments.enhancement.arms"
            ) from None
        paths = (*lm.family.ffn_in, lm.family.ffn_out)
        modules: list[list[Any]] = [[b.get_submodule(p) for p in paths] for b in lm.blocks]
        costs = [sum(sum(module.weight.shape) for module in layer) for layer in modules]
        self.size = nearest_size(wanted, costs, order, int(lm.config.hidden_size))
        config = peft.LoraConfig(
            r=self.size.rank,
            lora_alpha=self.size.rank,
            lora_dropout=0.0,
            target_modules=[f"{lm.family.blocks}.{i}.{p}" for i in self.size.layers for p in paths],
            fan_in_fan_out=isinstance(modules[0][0], Conv1D),
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._adapted = peft.LoraModel(lm.model, {"default": config}, "default")
        self._values = {
            name: parameter
            for name, parameter in lm.model.named_parameters()
            if parameter.requires_grad
        }

    @property
    def values(self) -> dict[str, nn.Parameter]:
        """The matrices A and B by name."""
        return self._values

    @property
    def n_trained(self) -> int:
        """Number of trained values."""
        return sum(value.numel() for value in self._values.values())

    @contextmanager
    def training(self) -> Iterator[None]:
        """Nothing to prepare: the adapters are ordinary modules."""
        yield

    def write(self) -> None:
        """Nothing to write: the model computes with the adapters."""

    def restore(self) -> None:
        """Take the adapters out."""
        self._adapted.unload()
