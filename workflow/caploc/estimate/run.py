"""One run as the estimates see it: size of a model, lengths of its samples."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from caploc.estimate.lengths import FACT, GUESS, TYPICAL, Lengths, measured, tokenizer_of
from caploc.estimate.shape import DecoderShape
from caploc.jobs.run import SPLITS
from caploc.jobs.run import Run as Plan
from caploc.records import DataError

__all__ = ["Run", "of_plan"]

_BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
_TRAINED_VOCABULARY = 600
"""Words of the models that the workflow trains, about; their tables are small either way."""


@dataclass(frozen=True)
class Run:
    """A run with one of its models.

    Attributes:
        plan: of the whole run.
        model: id.
        shape: of the model.
        lengths: of every task, by id.
        bytes: of a weight or activation.
        cuda: whether the model is on an accelerator.
    """

    plan: Plan
    model: str
    shape: DecoderShape
    lengths: dict[str, Lengths]
    bytes: int
    cuda: bool
    fact: Lengths = field(default=FACT)

    @property
    def config(self) -> dict[str, Any]:
        """Checked configuration."""
        return self.plan.config

    @property
    def tasks(self) -> list[str]:
        """Ids of the tasks, without neutral text."""
        return self.plan.settings["tasks"]

    @property
    def weights(self) -> float:
        """Bytes of the model's weights in memory."""
        return self.shape.parameters * self.bytes

    def settings(self, experiment: str) -> dict[str, Any]:
        """Of one experiment."""
        return self.config["experiments"][experiment]

    def has(self, experiment: str) -> bool:
        """Whether the run does it."""
        return experiment in self.plan.settings["experiments"]

    def samples(self, task: str, split: str, most: int | None = None) -> int:
        """Samples of a split, or the first `most` of them."""
        n = self.config["tasks"][task.removesuffix(".shuffled")]["samples"][split]
        return n if most is None else min(n, most)

    def n_facts(self, sets: Iterable[str]) -> int:
        """Facts of these sets."""
        return sum(self.config["facts"][name]["n"] for name in sets)

    def length(self, task: str) -> Lengths:
        """Of a task or of its shuffled reference."""
        return self.lengths[task.removesuffix(".shuffled")]


def of_plan(plan: Plan) -> list[Run]:
    """A `Run` for each model.

    Raises:
        DataError: a model does not say its size.
    """
    return [_of_model(plan, model) for model in plan.settings["models"]]


def _of_model(plan: Plan, model: str) -> Run:
    entry = plan.config["models"][model]
    manifest = plan.root / "models" / model / "manifest.json"
    tokenizer = tokenizer_of(manifest)
    vocabulary = _TRAINED_VOCABULARY
    if tokenizer is not None and tokenizer.is_file():
        vocabulary = len(json.loads(tokenizer.read_text())["model"].get("vocab", ())) or vocabulary
    shape = DecoderShape.of(entry, vocabulary)
    if shape is None:
        raise DataError(
            f"config models.{model}: its size is not known without loading it; add shape: "
            "{layers: , hidden: , ffn: , heads: , kv_heads: , vocabulary: } (its config.json has "
            "the numbers)"
        )
    lengths = {}
    for task in plan.tasks:
        files = [plan.root / "samples" / task / f"{split}.parquet" for split in SPLITS]
        stated = plan.config["tasks"][task].get("tokens")
        typical = TYPICAL.get(plan.config["tasks"][task]["plugin"], GUESS)
        lengths[task] = measured(files, tokenizer) or (
            Lengths(stated["prompt"], stated["answer"], "config") if stated else typical
        )
    cuda = entry["device"].startswith("cuda")
    return Run(plan, model, shape, lengths, _BYTES[entry["dtype"]], cuda)
