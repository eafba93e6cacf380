"""One task of the enhancement experiment: trainings and tests, each finished one kept in a file."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caploc.experiments.enhancement._answers import Judged
from caploc.experiments.enhancement._arms import CHOICE, DRAWN, Arm, trainable
from caploc.experiments.enhancement._enhance import Outcome, Recipe, enhance, outcome, use_epoch
from caploc.experiments.enhancement._low_rank import LowRank
from caploc.experiments.enhancement.settings import EnhanceTask
from caploc.files import store
from caploc.forward.samples import Encoded
from caploc.interventions.slices import Slices
from caploc.jobs.progress import tracked
from caploc.models.language_model import LanguageModel

__all__ = ["ANSWERS", "Bench", "Variant", "answer_rows", "runs_of"]

_LOG = logging.getLogger(__name__)

ANSWERS = pa.schema(
    [
        *((name, pa.string()) for name in ("target", "mask", "arm")),
        ("run", pa.int32()),
        ("rate", pa.float64()),
        ("epoch", pa.int32()),
        ("sample_id", pa.string()),
        ("correct", pa.bool_()),
        ("log_probability", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Variant:
    """One training: an arm with a learning rate."""

    arm: Arm
    rate: float

    @property
    def name(self) -> str:
        """Name of its folder."""
        run = "choice" if self.arm.run == CHOICE else str(self.arm.run)
        return f"{self.arm.mask or 'all'}-{self.arm.kind}-{run}-{self.rate:g}"


def answer_rows(
    target: str, arm: Arm, rate: float | None, epoch: int, texts: Encoded, judged: Judged
) -> pa.Table:
    """Rows of the answers to one target."""
    n = len(texts.samples)
    same = {"target": target, "mask": arm.mask, "arm": arm.kind, "run": arm.run, "rate": rate}
    columns: dict[str, Any] = {key: [value] * n for key, value in {**same, "epoch": epoch}.items()}
    columns |= {
        "sample_id": [sample.sample_id for sample in texts.samples],
        "correct": [None] * n if judged.correct is None else list(judged.correct),
        "log_probability": list(judged.log_probability),
    }
    return pa.table(columns, schema=ANSWERS)


@dataclass(frozen=True, slots=True)
class Bench:
    """Where the variants of one task are trained; the model is left as it was after each.

    Attributes:
        lm: the model.
        masks: located neurons by mask id, none of them empty.
        samples: to train on.
        told: settings of the stage.
        work: folder of everything unfinished.
    """

    lm: LanguageModel
    masks: Mapping[str, NDArray[np.bool_]]
    samples: Encoded
    told: EnhanceTask
    work: Path

    def recipe(self, variant: Variant) -> Recipe:
        """How a variant is trained; runs that are draws share the orders of the data."""
        told, run = self.told, variant.arm.run
        order = 0 if run == CHOICE else run % told.seeds
        seed = told.seed * 1_000 + order
        return Recipe(variant.rate, told.batch, seed, told.epochs)

    def train(self, variant: Variant) -> Outcome:
        """Train a variant, or finish or find what an earlier call trained."""
        folder = self.work / variant.name
        with self._trainable(variant.arm) as trained:
            steps = enhance(self.lm, trained, self.samples.pairs, self.recipe(variant), folder)
            total = self.told.epochs[-1] * -(-len(self.samples.samples) // self.told.batch)
            for _ in tracked(steps, total, variant.name, lambda loss: f"loss {loss:.3f}"):
                pass
        result = outcome(folder, self.recipe(variant))
        shown = f"{result.losses[0]:.3f} to {result.losses[-1]:.3f}" if result.losses else "none"
        _LOG.info("%s: loss %s %s", variant.name, shown, result.diverged)
        return result

    @contextmanager
    def at_epoch(self, variant: Variant, epoch: int) -> Iterator[Slices | LowRank]:
        """Inside, the model is as it was at the end of an epoch."""
        with self._trainable(variant.arm) as trained:
            use_epoch(trained, self.work / variant.name, epoch)
            yield trained

    def describe(self, arm: Arm) -> dict[str, Any]:
        """Sizes of what an arm trains."""
        with self._trainable(arm) as trained:
            sizes: dict[str, Any] = {"n_trained": trained.n_trained}
            if isinstance(trained, LowRank):
                size = trained.size
                sizes |= {"rank": size.rank, "layers": list(size.layers)}
        return sizes

    def kept(self, name: str, make: Any) -> pa.Table:
        """Rows that an earlier call made, or makes and keeps them."""
        path = self.work / f"{name}.parquet"
        if not path.is_file():
            store.write_table(make(), path, {})
        return store.read_table(path, ANSWERS.names)

    @contextmanager
    def _trainable(self, arm: Arm) -> Iterator[Slices | LowRank]:
        located = self.masks.get(arm.mask)
        if located is None:
            located = np.zeros((self.lm.n_layers, self.lm.n_neurons), dtype=np.bool_)
        trained = trainable(self.lm, arm, located, self.told.part, self.told.seed)
        try:
            yield trained
        finally:
            trained.restore()


def runs_of(kind: str, told: EnhanceTask) -> Sequence[int]:
    """Runs of an arm that are tested."""
    return range(told.draws if kind in DRAWN else told.seeds)
