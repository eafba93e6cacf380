"""Training of a few weights of a frozen model: AdamW on the log-probability of gold answers.

Whatever is trained, the loop is the same: same loss (cross-entropy of the next token, answer tokens
only), same optimiser (AdamW, betas 0.9 and 0.999, no weight decay, constant rate), and, for equal
seeds, the same batches in the same order.
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from caploc.forward.answer_pass import answer_pass
from caploc.forward.batch import Pair
from caploc.models.language_model import LanguageModel
from caploc.records import DataError

__all__ = ["Diverged", "Recipe", "Trainable", "Training"]

_RANDOM = "random_state"
_BETAS = (0.9, 0.999)
_AS_BAD_AS_GUESSING = 0.99
"""Diverged: a model that began below this share of the loss of a uniform guess ends above it."""


class Trainable(Protocol):
    """Some weights of a model that can be trained."""

    @property
    def values(self) -> dict[str, nn.Parameter]:
        """The trained tensors by name."""

    @property
    def n_trained(self) -> int:
        """Number of trained values."""

    def training(self) -> AbstractContextManager[None]:
        """Inside, a backward pass through the model fills their gradients."""

    def write(self) -> None:
        """Let the model use the present values."""

    def restore(self) -> None:
        """Leave the model as it was before."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    Attributes:
        rate: learning rate of AdamW, constant.
        batch: samples in a step; the last batch of an epoch may be smaller.
        seed: of the order of the samples.
        epochs: ascending numbers of passes after which the values are kept.
    """

    rate: float
    batch: int
    seed: int
    epochs: tuple[int, ...] = ()


class Diverged(Exception):
    """Training cannot go on; the message says when and how. The values are the last finite ones."""


class Training:
    """One run of training, which can be stopped after any step and taken up again.

    Args:
        lm: frozen model.
        trained: what is trained.
        samples: tokens of the training samples.
        recipe: how.

    Attributes:
        recipe: the same.
        values: the trained tensors by name.
        epoch: whole passes over the samples that are done.
        losses: mean loss of each finished epoch, in nat per answer token.

    Raises:
        DataError: fewer samples than a batch, or a rate that is not positive.
    """

    def __init__(
        self, lm: LanguageModel, trained: Trainable, samples: Sequence[Pair], recipe: Recipe
    ) -> None:
        if len(samples) < recipe.batch:
            raise DataError(
                f"{len(samples)} samples to train on, a batch has {recipe.batch}; give the task "
                "more samples in its train split or set a smaller batch"
            )
        if not recipe.rate > 0 or not math.isfinite(recipe.rate):
            raise DataError(f"learning rate {recipe.rate}; expected a finite number above 0")
        self._lm, self._trained, self._samples, self.recipe = lm, trained, samples, recipe
        self.values = dict(sorted(trained.values.items()))
        self._optimiser = torch.optim.AdamW(
            list(self.values.values()), lr=recipe.rate, betas=_BETAS, weight_decay=0.0
        )
        self._generator = torch.Generator().manual_seed(recipe.seed)
        self._order: list[int] = []
        self._sums = [0.0, 0.0]  # loss and answer tokens of this epoch
        self._first: float | None = None  # loss before any step
        self.epoch, self.losses = 0, list[float]()

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of one pass over the samples."""
        return math.ceil(len(self._samples) / self.recipe.batch)

    def step(self) -> float:
        """Take one optimiser step and return its loss, in nat per answer token.

        Raises:
            Diverged: the loss is not finite, or that of the finished epoch is as bad as guessing;
                the values are those before the step, or after the epoch.
        """
        if not self._order:
            every = torch.randperm(len(self._samples), generator=self._generator)
            self._order = every.tolist()
        n = self.recipe.batch
        chosen, self._order = self._order[:n], self._order[n:]
        with self._trained.training(), torch.enable_grad():
            found = answer_pass(self._lm, [self._samples[i] for i in chosen])
            tokens = found.logprob[found.batch.counts]
            loss = -tokens.mean()
            self._optimiser.zero_grad()
            loss.backward()
        value = loss.item()
        gradients = [v.grad for v in self.values.values()]
        finite = all(bool(g.isfinite().all()) for g in gradients if g is not None)
        if not math.isfinite(value) or not finite:
            raise Diverged(
                f"loss {value:.3g} or its gradient is not finite in epoch {self.epoch + 1}"
            )
        self._first = value if self._first is None else self._first
        self._optimiser.step()
        self._trained.write()
        self._sums = [self._sums[0] + value * len(tokens), self._sums[1] + len(tokens)]
        if not self._order:
            self._finish_epoch()
        return value

    def _finish_epoch(self) -> None:
        self.epoch += 1
        self.losses.append(self._sums[0] / self._sums[1])
        self._sums = [0.0, 0.0]
        guess = math.log(len(self._lm.head.weight))
        limit = _AS_BAD_AS_GUESSING * guess
        if self._first is not None and self._first < limit < self.losses[-1]:
            raise Diverged(
                f"mean loss {self.losses[-1]:.3g} nat in epoch {self.epoch}, a uniform guess has "
                f"{guess:.3g}"
            )

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything a continuation needs: tensors, and facts that are plain JSON."""
        tensors = {_RANDOM: self._generator.get_state()}
        for name, value in self.values.items():
            tensors[name] = value.detach()
            moments = self._optimiser.state[value]
            tensors |= {f"{key}/{name}": tensor for key, tensor in moments.items()}
        facts = {"epoch": self.epoch, "losses": self.losses, "sums": self._sums,
                 "order": self._order, "first": self._first}  # fmt: skip
        return tensors, facts

    @torch.no_grad()
    def resume(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Continue from a `state` of a training with the same settings, bit for bit."""
        for name, value in self.values.items():
            value.copy_(tensors[name])
            keys = [key for key, _, of in (k.partition("/") for k in tensors) if of == name]
            # The number of steps stays on the processor, where AdamW counts.
            self._optimiser.state[value] = {
                key: tensors[f"{key}/{name}"].to("cpu" if key == "step" else value.device)
                for key in keys
            }
        self._trained.write()
        self._generator.set_state(tensors[_RANDOM])
        self.epoch, self.losses = facts["epoch"], list(facts["losses"])
        self._sums, self._order = list(facts["sums"]), list(facts["order"])
        self._first = facts["first"]
