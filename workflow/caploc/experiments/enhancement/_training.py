"""Trainings that survive a kill.

One run of `train` gives every wanted epoch: the values at the end of each are kept in a file,
beside the state of the training after the last finished epoch or minute, which survives a kill.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from caploc.interventions.delta import read_tensors, write_tensors
from caploc.interventions.fitting import Diverged, Recipe, Trainable, Training
from caploc.jobs.partial_work import sealed

__all__ = ["Outcome", "outcome", "train", "use_epoch"]

_SECONDS_BETWEEN_SAVES = 60.0
_STATE = "state.safetensors"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a training came to.

    Attributes:
        losses: mean loss of each finished epoch, in nat per answer token.
        epochs: those of the recipe whose values are kept.
        diverged: why it stopped early; empty if it did not.
    """

    losses: tuple[float, ...]
    epochs: tuple[int, ...]
    diverged: str


def train(training: Training, folder: Path) -> Iterator[float]:
    """Train, or go on where an earlier call stopped; a finished training does nothing.

    Args:
        training: at its begin; the model holds the last good values at the end.
        folder: of the checkpoints of this training alone.

    Yields:
        The loss of each step.

    Raises:
        DataError: a checkpoint that cannot be written or read.
    """
    path, recipe = folder / _STATE, training.recipe
    tensors, facts = read_tensors(path) if path.is_file() else ({}, {"epoch": 0})
    passed = [e for e in recipe.epochs if e <= facts["epoch"]]
    if tensors and all(_of_epoch(folder, e).is_file() for e in passed):
        training.resume(tensors, facts)
        if facts["diverged"]:
            return
    else:
        _save(training, path)
    saved, last = time.monotonic(), recipe.epochs[-1]
    while training.epoch < last:
        epoch = training.epoch
        try:
            loss = training.step()
        except Diverged as reason:
            # The state of the last finished epoch or minute is good; it is kept, with the reason.
            tensors, facts = read_tensors(path)
            training.resume(tensors, facts)
            _write(path, tensors, facts | {"diverged": str(reason)})
            return
        if training.epoch > epoch or time.monotonic() - saved > _SECONDS_BETWEEN_SAVES:
            if training.epoch > epoch and training.epoch in recipe.epochs:
                _write(_of_epoch(folder, training.epoch), training.values, {})
            _save(training, path)
            saved = time.monotonic()
        yield loss


def outcome(folder: Path, recipe: Recipe) -> Outcome:
    """What the training in a folder has come to.

    Raises:
        DataError: no training, or a damaged file.
    """
    _, facts = read_tensors(folder / _STATE)
    kept = tuple(e for e in recipe.epochs if _of_epoch(folder, e).is_file())
    return Outcome(tuple(facts["losses"]), kept, facts["diverged"])


@torch.no_grad()
def use_epoch(trained: Trainable, folder: Path, epoch: int) -> None:
    """Let the model compute with the values at the end of an epoch.

    Raises:
        DataError: no such epoch, or a damaged file.
    """
    tensors, _ = read_tensors(_of_epoch(folder, epoch))
    for name, value in trained.values.items():
        value.copy_(tensors[name])
    trained.write()


def _save(training: Training, path: Path) -> None:
    tensors, facts = training.state()
    _write(path, tensors, facts | {"diverged": ""})


def _write(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    with sealed(path) as temporary:
        write_tensors(temporary, tensors, facts)


def _of_epoch(folder: Path, epoch: int) -> Path:
    return folder / f"epoch-{epoch:03d}.safetensors"
