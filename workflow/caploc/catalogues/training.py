"""A model that the workflow trains: its size, and how."""

from dataclasses import dataclass
from typing import Annotated

from caploc.settings import Count, Natural, Positive, Rule, Seed

__all__ = ["Architecture", "Train"]


@dataclass(frozen=True, slots=True)
class Architecture:
    """Size of a model trained by the workflow.

    Attributes:
        layers: decoder blocks
        hidden: width of the residual stream
        ffn: FFN neurons in a layer
        heads: attention heads
        kv_heads: key/value heads (grouped-query attention)
        context: longest sequence in tokens
    """

    layers: Count
    hidden: Count
    ffn: Count
    heads: Count
    kv_heads: Count
    context: Count


@dataclass(frozen=True, slots=True)
class Train:
    """How the model is trained.

    Attributes:
        steps: optimiser steps
        batch: sequences in a step
        learning_rate: peak learning rate
        warmup: steps of linear warm-up before the cosine
        mixture: generated tasks (plug-in names) and their shares of the training sequences
        seed: of the weights and the training text; default run.seed
    """

    steps: Count
    batch: Count
    learning_rate: Positive
    warmup: Natural
    mixture: Annotated[dict[str, Positive], Rule(minProperties=1)]
    seed: Seed | None = None
