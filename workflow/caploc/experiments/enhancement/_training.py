"""Training of a few weights of a frozen model: AdamW on the log-probability of gold answers.

Every arm of an experiment runs through the same loop: same loss (cross-entropy of the next token,
answer tokens only), same optimiser (AdamW, betas 0.9 and 0.999, no weight decay, constant rate),
and, for equal seeds, the same batches in the same order.
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from caploc.forward.answer_pass import answer_pass
from caploc.forward.batch import Pair
from caploc.models.language_model import LanguageModel
from caploc.records import DataError

__all__ = ["Diverged", "Trainable", "Training"]

_BETAS = (0.9, 0.999)
_AS_BAD_AS_GUESSING = 0.99
"""Diverged: a model that began below this share of the loss of a uniform guess ends above it."""


class Trainable(Protocol):
    """Some weights of a model that can be trained."""

    @property
    def values(self) -> dict[str, nn.Parameter]:
        """The trained tensors by name."""

    def training(self) -> AbstractContextManager[None]:
        """Inside, a backward pass through the model fills their gradients."""

    def write(self) -> None:
        """Let the model use the present values."""


class Diverged(Exception):
    """Training cannot go on; the message says when and how. The values are the last finite ones."""


class Training:
    """One run of training, which can be stopped after any step and taken up again.

    Args:
        lm: frozen model.
        trained: what is trained.
        samples: tokens of the training samples.
        rate: learning rate.
        batch: samples in a step; the last batch of an epoch may be smaller.
        seed: of the order of the samples.

    Attributes:
        epoch: whole passes over the samples that are done.
        losses: mean loss of each finished epoch, in nat per answer token.

    Raises:
        DataError: fewer samples than a batch, or a rate that is not positive.
    """

    def __init__(
        self, lm: LanguageModel, trained: Trainable, samples: Sequence[Pair],
        *, rate: float, batch: int, seed: int,
    ) -> None:  # fmt: skip
        if len(samples) < batch:
            raise DataError(
                f"{len(samples)} samples to train on, a batch has {batch}; give the task more "
                "samples in its train split or set a smaller batch"
            )
        if not rate > 0 or not math.isfinite(rate):
            raise DataError(f"learning rate {rate}; expected a finite number above 0")
        self._lm, self._trained, self._samples, self._batch = lm, trained, samples, batch
        self._names = sorted(trained.values)
        self._optimiser = torch.optim.AdamW(
            [trained.values[name] for name in self._names], lr=rate, betas=_BETAS, weight_decay=0.0
        )
        self._generator = torch.Generator().manual_seed(seed)
        self._order: list[int] = []
        self._sums = [0.0, 0.0]  # loss and answer tokens of this epoch
        self._first: float | None = None  # loss before any step
        self.epoch, self.losses = 0, list[float]()

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of one pass over the samples."""
        return math.ceil(len(self._samples) / self._batch)

    def step(self) -> float:
        """Take one optimiser step and return its loss, in nat per answer token.

        Raises:
            Diverged: the loss is not finite, or that of the finished epoch is as bad as guessing;
                the values are those before the step, or after the epoch.
        """
        if not self._order:
            n = len(self._samples)
            self._order = torch.randperm(n, generator=self._generator).tolist()
        chosen, self._order = self._order[: self._batch], self._order[self._batch :]
        with self._trained.training(), torch.enable_grad():
            found = answer_pass(self._lm, [self._samples[i] for i in chosen])
            tokens = found.logprob[found.batch.counts]
            loss = -tokens.mean()
            self._optimiser.zero_grad()
            loss.backward()
        value = loss.item()
        gradients = [self._trained.values[name].grad for name in self._names]
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
        tensors = {name: self._trained.values[name].detach() for name in self._names}
        n_steps = 0.0
        for name, state in self._per_value():
            n_steps = float(state["step"])
            tensors |= {
                f"{name}{_FIRST}": state["exp_avg"],
                f"{name}{_SECOND}": state["exp_avg_sq"],
            }
        tensors[_RANDOM] = self._generator.get_state()
        facts = {
            "epoch": self.epoch, "losses": self.losses, "sums": self._sums, "order": self._order,
            "n_steps": n_steps, "first": self._first,
        }  # fmt: skip
        return tensors, facts

    @torch.no_grad()
    def resume(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Continue from a `state` of a training with the same settings, bit for bit."""
        for name in self._names:
            self._trained.values[name].copy_(tensors[name])
        self._trained.write()
        if facts["n_steps"]:
            for name in self._names:
                value = self._trained.values[name]
                self._optimiser.state[value] = {
                    "step": torch.tensor(facts["n_steps"], dtype=torch.float32),
                    "exp_avg": tensors[name + _FIRST].to(value.device),
                    "exp_avg_sq": tensors[name + _SECOND].to(value.device),
                }
        self._generator.set_state(tensors[_RANDOM])
        self.epoch, self.losses = facts["epoch"], list(facts["losses"])
        self._sums, self._order = list(facts["sums"]), list(facts["order"])
        self._first = facts["first"]

    def _per_value(self) -> list[tuple[str, dict[str, Any]]]:
        found = [
            (name, self._optimiser.state.get(self._trained.values[name])) for name in self._names
        ]
        return [(name, state) for name, state in found if state]


_FIRST, _SECOND, _RANDOM = ".first_moment", ".second_moment", "random_state"
