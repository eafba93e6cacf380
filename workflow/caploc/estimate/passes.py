"""What a run's passes of a model cost: operations, calls of blocks, bytes; and the size of a job.

memory = process + weights + what the rows in flight leave behind, at most the budget
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, log10
from typing import Any

from caploc.attribution.rules import path_rule
from caploc.estimate.lengths import GUESS, TYPICAL, Lengths, measured
from caploc.estimate.shape import DecoderShape
from caploc.estimate.work import Stage, Work
from caploc.jobs.run import SPLITS
from caploc.jobs.run import Run as Plan
from caploc.records import DataError

__all__ = ["SCORE_BYTES", "Run", "of_plan"]

SCORE_BYTES = 0.87 * 4
"""Bytes of a stored score: float32, byte streams split, zstd (`aggregation.json`: 0.85 to 0.9)."""
_BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
_PROCESS = {False: 440 * 2**20, True: 3 * 2**30}
"""A process that has loaded its libraries: measured on a processor, assumed with CUDA."""
_TRAINED_VOCABULARY = 600
"""Words of the models that the workflow trains, about; their tables are small either way."""
_FIRST_INTERVALS = 4
"""Intervals with which the rule `adaptive` begins; behind layer 0 hardly a token needs more."""
_LAYER_0 = 27.0
"""Mean intervals of layer 0 at tolerance 0.01 and most 64: 23 in the embedded model
(`adaptive.json`), 41 in SmolLM2-135M on the tasks of `config.yaml`, where it is a third of all."""
_PER_DECADE = 8.3
"""How many more they are for a tolerance ten times smaller: `adaptive.json`, 0.01 to 0.0001."""
_BATCH_ROWS = 4096
"""Rows in flight where a locator has no such setting."""
_TOKEN_CALLS = 5
"""Calls of a block that generating a token is worth: padding, choosing and stopping beside it."""


def _points(method: dict[str, Any]) -> tuple[float, float, bool]:
    """Path points below 1 of layer 0 and of a layer above it, and whether 1 is one."""
    if method["rule"] == "adaptive":
        first = _LAYER_0 + _PER_DECADE * log10(0.01 / method["tolerance"])
        return min(max(first, _FIRST_INTERVALS), method["steps"]), _FIRST_INTERVALS, True
    rule = path_rule(method["rule"], method["steps"])
    n = len(rule.scaled[0])
    return n, n, rule.weight_of_one is not None


@dataclass(frozen=True)
class Run:
    """A run with one of its models: what it asks for, and what passes of the model cost.

    Attributes:
        plan: of the whole run.
        model: id.
        shape: of the model.
        lengths: of every task, by id.
        bytes: of a weight or activation.
        cuda: whether the model is on an accelerator.
        budget: bytes beside the weights that scoring may take, or None.
    """

    plan: Plan
    model: str
    shape: DecoderShape
    lengths: dict[str, Lengths]
    bytes: int
    cuda: bool
    budget: float | None

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

    @property
    def activation(self) -> float:
        """Bytes that one row leaves in one block for the way back."""
        # Chosen by the peak of scoring a model of 8 layers, hidden 512 (`benchmarks/plan.py`).
        per_neuron = 5 if self.shape.gated else 4
        return (10 * self.shape.hidden + per_neuron * self.shape.ffn) * self.bytes

    @property
    def key_values(self) -> float:
        """Bytes of keys and values of one token in all blocks."""
        width = self.shape.hidden * self.shape.kv_heads / self.shape.heads
        return 2 * width * self.shape.layers * self.bytes

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

    def work(self, operations: float, calls: float = 0.0) -> Work:
        """So many operations in so many calls of the whole model."""
        return Work(operations, calls * self.shape.layers, calls * self.weights)

    def read(self, tokens: float, logits: float, batch_tokens: float) -> Work:
        """Forward passes over so many tokens, with logits at some."""
        return self.work(self.shape.forward(tokens, logits), max(tokens / batch_tokens, 1.0))

    def attribute(self, lengths: Lengths, n: float, method: dict[str, Any]) -> Work:
        """Neuron scores of n samples; without a path, one pass there and back."""
        if "rule" not in method:
            return self.read(3 * n * lengths.total, 3 * n * lengths.answer, 16 * lengths.total)
        first, above, one = _points(method)
        scored = min(lengths.answer, method.get("max_answer_tokens") or lengths.answer)
        rows = n * scored * self.rows(method)
        # Rows of layer l pass the blocks above it alone: half of them on average, there and back.
        calls = 3 * max(rows / method.get("batch_rows", _BATCH_ROWS), 1.0)
        operations = self.shape.attribution(
            lengths.prompt, lengths.answer, scored, (first, above), one
        )
        return self.work(n * operations, calls)

    def rows(self, method: dict[str, Any]) -> float:
        """Rows of one answer token: path points of all layers."""
        first, above, _ = _points(method)
        return first + above * (self.shape.layers - 1)

    def generate(self, lengths: Lengths, n: float, batch: float) -> Work:
        """Greedy answers of n prompts, so many at a time."""
        limit = _limit(lengths)
        steps = max(ceil(n / batch), 1) * limit
        decode = self.work(self.shape.forward(n * limit, n * limit), steps)
        kept = n * limit * (lengths.prompt + limit / 2) * self.key_values
        decode += Work(0.0, (_TOKEN_CALLS - 1) * decode.calls, kept)
        return self.read(n * lengths.prompt, n, batch * lengths.prompt) + decode

    def train(self, lengths: Lengths, steps: float, batch: int, share: float) -> Work:
        """Steps of training on batches of samples, of a share of the FFN's weights."""
        tokens = steps * batch * lengths.total
        forward = self.shape.forward(tokens, steps * batch * lengths.answer)
        # AdamW: about 20 operations a value, bound by memory; counted as that many products.
        values = (2 * tokens + 20 * steps) * share * self.shape.ffn_values
        return self.work(2 * forward + values, 3 * steps)

    def held(self, rows: float, blocks: float | None = None) -> float:
        """Bytes that rows leave for the way back in so many blocks, or in all."""
        return rows * self.activation * (self.shape.layers if blocks is None else blocks)

    def scoring(self, lengths: Iterable[Lengths], method: dict[str, Any]) -> float:
        """Bytes beside the weights while neurons are scored; the model's budget at most."""
        if "rule" not in method:
            return self.held(16 * max(one.total for one in lengths))
        rows = min(
            method.get("batch_rows", _BATCH_ROWS),
            64 * max(x.answer for x in lengths) * self.rows(method),
        )
        found = self.held(rows, self.shape.layers / 2)
        return found if self.budget is None else min(found, self.budget)

    def cache(self, lengths: Iterable[Lengths], batch: float) -> float:
        """Bytes of keys and values while so many prompts are answered together."""
        return batch * max(x.prompt + _limit(x) for x in lengths) * self.key_values

    def stage(
        self, name: str, jobs: int, work: Work, beside: float = 0.0, on_host: float = 0.0,
        disk: float = 0.0, scratch: float = 0.0,
    ) -> Stage:  # fmt: skip
        """A stage that runs the model.

        Args:
            name: of the rule.
            jobs: number.
            work: of all jobs together.
            beside: bytes beside the weights, on the model's device.
            on_host: further bytes of the host's memory.
            disk: bytes that stay.
            scratch: further bytes of disk while it runs.
        """
        # With CUDA, weights are read into the host's memory first.
        host = _PROCESS[self.cuda] + self.weights + on_host + (0.0 if self.cuda else beside)
        accelerator = self.weights + beside if self.cuda else 0.0
        return Stage(name, jobs, work, accelerator, host, disk, scratch)


def _limit(lengths: Lengths) -> float:
    """Tokens that `evaluation.generate` allows: an answer may be longer than the gold one."""
    return 1.5 * lengths.answer + 8


def of_plan(plan: Plan) -> list[Run]:
    """A `Run` for each model.

    Raises:
        DataError: a model does not say its size.
    """
    return [_of_model(plan, model) for model in plan.settings["models"]]


def _of_model(plan: Plan, model: str) -> Run:
    entry = plan.config["models"][model]
    manifest = plan.root / "models" / model / "manifest.json"
    path = json.loads(manifest.read_text())["path"] if manifest.is_file() else ""
    tokenizer = manifest.parent / path / "tokenizer.json"
    shape = DecoderShape.of(entry, _TRAINED_VOCABULARY)
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
    budget = entry.get("memory_mib")
    return Run(plan, model, shape, lengths, _BYTES[entry["dtype"]],
               entry["device"].startswith("cuda"), budget and budget * 2**20)  # fmt: skip
