"""Where the arms of one task are trained and tested, each finished one kept in a file."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc.experiments.enhancement._arms import CHOICE, DRAWN, Arm, trainable
from caploc.experiments.enhancement._low_rank import LowRank
from caploc.experiments.enhancement._training import (
    Outcome,
    outcome,
    train,
    use_epoch,
)
from caploc.experiments.enhancement.settings import EnhanceTask
from caploc.files import tables
from caploc.files.tables import COUNT, NUMBER, TEXT, Schema, texts
from caploc.forward.answer_pass import AnswerPass, answer_passes
from caploc.forward.generation import complete
from caploc.forward.samples import Encoded
from caploc.interventions.fitting import Recipe, Trainable, Training
from caploc.interventions.scale import scaled
from caploc.jobs.partial_work import sealed
from caploc.jobs.progress import tracked
from caploc.models.language_model import LanguageModel
from caploc.samples.task import Task

__all__ = ["ANSWERS", "Bench", "log_probabilities"]

_LOG = logging.getLogger(__name__)
_FACTOR = 2.0
_BATCH = 64
ANSWERS: Schema = {
    **texts("target", "mask", "arm"), "run": COUNT, "rate": NUMBER, "epoch": COUNT,
    "sample_id": TEXT, "correct": pl.Boolean(), "log_probability": NUMBER,
}  # fmt: skip
"""`log_probability`: of the whole gold answer, in nat; `correct`: whether the greedy answer is
right, null where none was asked for."""


@dataclass(frozen=True, slots=True)
class Bench:
    """The model is left as it was after each arm.

    Attributes:
        lm: the model.
        masks: located neurons by mask id, none of them empty.
        samples: to train on.
        tests: samples of every target.
        tasks: plug-in of every target; decides when a greedy answer is right.
        told: settings of the stage.
        work: folder of everything unfinished.
    """

    lm: LanguageModel
    masks: Mapping[str, NDArray[np.bool_]]
    samples: Encoded
    tests: Sequence[Encoded]
    tasks: Sequence[Task]
    told: EnhanceTask
    work: Path

    def train(self, arm: Arm) -> Outcome:
        """Train an arm, or finish or find what an earlier call trained."""
        folder, recipe = self.work / arm.name, self._recipe(arm)
        with self._trainable(arm) as trained:
            training = Training(self.lm, trained, self.samples.pairs, recipe)
            total = recipe.epochs[-1] * training.steps_per_epoch
            for _ in tracked(
                train(training, folder), total, arm.name, lambda loss: f"loss {loss:.3f}"
            ):
                pass
        result = outcome(folder, recipe)
        shown = f"{result.losses[0]:.3f} to {result.losses[-1]:.3f}" if result.losses else "none"
        _LOG.info("%s: loss %s %s", arm.name, shown, result.diverged)
        return result

    @contextmanager
    def at_epoch(self, arm: Arm, epoch: int) -> Iterator[Trainable]:
        """Inside, the model is as it was at the end of an epoch of a trained arm."""
        with self._trainable(arm) as trained:
            use_epoch(trained, self.work / arm.name, epoch)
            yield trained

    def describe(self, arm: Arm) -> dict[str, Any]:
        """Sizes of what an arm trains.

        Raises:
            ValueError: too few neurons outside the located ones.
        """
        with self._trainable(arm) as trained:
            sizes: dict[str, Any] = {"n_trained": trained.n_trained}
            if isinstance(trained, LowRank):
                sizes |= {"rank": trained.size.rank, "layers": list(trained.size.layers)}
        return sizes

    def answers(self, arm: Arm, epoch: int = 0, n_targets: int = 1) -> pl.DataFrame:
        """`ANSWERS` to the first targets, which an earlier call may have kept.

        Controls are scored by log-probability alone on other tasks.
        """
        path = self.work / f"{arm.name}-{epoch:03d}.parquet"
        if not path.is_file():
            with self._model_of(arm, epoch):
                found = [self._judged(i, i == 0 or arm.kind not in DRAWN) for i in range(n_targets)]
            same = {"mask": arm.mask, "arm": arm.kind, "run": arm.run, "rate": arm.rate}
            named = [f.with_columns(**{k: pl.lit(v) for k, v in same.items()}, epoch=pl.lit(epoch))
                     for f in found]  # fmt: skip
            with sealed(path) as temporary:
                tables.write_part(tables.gathered(named, ANSWERS), temporary, {})
        return tables.read(path, ANSWERS)

    def _judged(self, target: int, speaks: bool) -> pl.DataFrame:
        samples, task = self.tests[target].samples, self.tasks[target]
        correct = None
        if speaks:
            gold = [sample.answer for sample in samples]
            said = dict(complete(self.lm, [sample.prompt for sample in samples], gold, _BATCH))
            correct = [task.score(answer, said[i]) for i, answer in enumerate(gold)]
        return pl.DataFrame(
            {
                "sample_id": [sample.sample_id for sample in samples],
                "log_probability": log_probabilities(self.lm, self.tests[target]),
            }
        ).with_columns(
            target=pl.lit(self.told.targets[target]["id"]),
            correct=pl.lit(None, pl.Boolean) if correct is None else pl.Series(correct),
        )

    def _recipe(self, arm: Arm) -> Recipe:
        """How an arm is trained; runs that are draws share the orders of the data."""
        assert arm.rate is not None
        order = 0 if arm.run == CHOICE else arm.run % self.told.seeds
        seed = self.told.seed * 1_000 + order
        return Recipe(arm.rate, self.told.batch, seed, self.told.epochs)

    @contextmanager
    def _model_of(self, arm: Arm, epoch: int) -> Iterator[None]:
        if arm.kind == "none":
            yield
        elif arm.kind == "scaled":
            with scaled(self.lm, self.masks[arm.mask], _FACTOR):
                yield
        else:
            with self.at_epoch(arm, epoch):
                yield

    @contextmanager
    def _trainable(self, arm: Arm) -> Iterator[Trainable]:
        located = self.masks.get(arm.mask)
        if located is None:
            located = np.zeros((self.lm.n_layers, self.lm.n_neurons), dtype=np.bool_)
        trained = trainable(self.lm, arm, located, self.told.part, self.told.seed)
        try:
            yield trained
        finally:
            trained.restore()


def log_probabilities(lm: LanguageModel, texts: Encoded) -> NDArray[np.float64]:
    """(sample,) log-probability of the whole gold answer, in nat."""
    found = np.zeros(len(texts.samples))
    for part in answer_passes(lm, texts.samples, neurons=False, batch=_BATCH):
        assert isinstance(part, AnswerPass)  # what does not fit was left out before
        found[part.members] = part.total.cpu().numpy()
    return found
