"""Work and memory of what many stages do: attribute, read, answer, train."""

from collections.abc import Sequence
from math import ceil
from typing import Any, TypedDict

from caploc.attribution.rules import path_rule
from caploc.estimate.lengths import Lengths
from caploc.estimate.run import Run
from caploc.estimate.work import Kind, Stage, Work

__all__ = [
    "SCORE_BYTES", "activations", "attributing", "attribution_memory", "cache_memory", "generating",
    "memory", "numbers", "piece", "reading", "training",
]  # fmt: skip

_PROCESS = {"cpu": 440 * 2**20, "cuda": 3 * 2**30}
"""A process that has loaded its libraries: measured on a processor, assumed with CUDA."""
SCORE_BYTES = 0.87 * 4
"""Bytes of a stored score: float32, byte streams split, zstd (`aggregation.json`: 0.85 to 0.9)."""
_NUMBERS = 150 * 2**20
_LOGITS = {"cpu": 1 << 23, "cuda": 1 << 25}
# `evaluation.generate`: an answer may be longer than the gold one.
_SLACK_SHARE, _SLACK_TOKENS = 1.5, 8
_ADAPTIVE_POINTS = 24
"""Mean points of the rule `adaptive`, by the time it takes in the default run; wider models need
fewer (a quarter of it at hidden 512, random weights)."""


class Memory(TypedDict):
    """Bytes of a job at most, on the accelerator and on the host."""

    accelerator: float
    host: float


_BATCH_ROWS = 4096
"""Rows in flight where a locator has no such setting."""


def _points(method: dict[str, Any]) -> tuple[int, bool]:
    """Path points below 1, and whether 1 is one."""
    if method["rule"] == "adaptive":
        return min(_ADAPTIVE_POINTS, method["steps"]), True
    rule = path_rule(method["rule"], method["steps"])
    return len(rule.scaled[0]), rule.weight_of_one is not None


def piece(
    run: Run, kind: Kind, operations: float, calls: float = 0.0, moved: float | None = None
) -> Work:
    """Work with the model of a run.

    Args:
        run: the model.
        kind: see `Kind`.
        operations: floating-point operations.
        calls: of the whole model.
        moved: bytes that a call reads; None for its weights.
    """
    weights = run.weights if moved is None else moved
    return Work(kind, operations, calls, run.shape.layers, weights, run.shape.hidden)


def attributing(run: Run, lengths: Lengths, n: float, method: dict[str, Any]) -> Work:
    """Neuron scores of n samples; without a path, one pass there and back."""
    if "rule" not in method:
        return reading(run, 3 * n * lengths.total, 3 * n * lengths.answer, 16 * lengths.total)
    below, one = _points(method)
    scored = lengths.scored(method.get("max_answer_tokens"))
    operations = n * run.shape.attribution(lengths.prompt, lengths.answer, scored, below, one)
    rows = n * scored * below * run.shape.layers
    calls = max(rows / method.get("batch_rows", _BATCH_ROWS), 1.0)
    # Rows of layer l pass the blocks above it alone: half of them on average, there and back.
    return piece(run, "rows", operations, 3 * calls)


def reading(run: Run, tokens: float, logits: float, batch_tokens: float) -> Work:
    """Forward passes over so many tokens, with logits at some."""
    calls = max(tokens / batch_tokens, 1.0)
    operations = run.shape.forward(tokens, logits)
    return piece(run, "passes", operations, calls)


def generating(run: Run, lengths: Lengths, n: float, batch: float) -> list[Work]:
    """Greedy answers of n prompts."""
    limit = lengths.answer * _SLACK_SHARE + _SLACK_TOKENS
    batches = max(ceil(n / batch), 1)
    prefill = reading(run, n * lengths.prompt, n, batch * lengths.prompt)
    operations = run.shape.forward(n * limit, n * limit)
    cache = 2 * run.shape.layers * run.shape.hidden * run.shape.kv_heads / run.shape.heads
    moved = run.weights + min(n, batch) * (lengths.prompt + limit / 2) * cache * run.bytes
    decode = piece(run, "generation", operations, batches * limit, moved)
    return [prefill, decode]


def training(run: Run, lengths: Lengths, steps: float, batch: int, share: float) -> Work:
    """Steps of training.

    Args:
        run: the model.
        lengths: of the samples.
        steps: optimiser steps.
        batch: samples in a step.
        share: of the FFN's weights that train.
    """
    tokens = steps * batch * lengths.total
    forward = run.shape.forward(tokens, steps * batch * lengths.answer)
    gradients = 2 * tokens * share * run.shape.ffn_values
    # AdamW: about 20 operations a value, bound by memory; counted as that many products.
    update = 20 * steps * share * run.shape.ffn_values
    return piece(run, "training", 2 * forward + gradients + update, 3 * steps)


def activations(run: Run) -> float:
    """Bytes that one row leaves in one block for the way back."""
    # Chosen by the peak of scoring a model of 8 layers, hidden 512 (`benchmarks/plan.py`).
    per_neuron = 5 if run.shape.gated else 4
    return (10 * run.shape.hidden + per_neuron * run.shape.ffn) * run.bytes


def _held(run: Run, rows: float) -> float:
    """Bytes of rows that pass half of the blocks, there and back."""
    return rows * activations(run) * run.shape.layers / 2


def attribution_memory(run: Run, lengths: Sequence[Lengths], method: dict[str, Any]) -> float:
    """Bytes beside the weights while neurons are scored; ``memory_mib`` of the model at most."""
    if "rule" not in method:
        return 16 * max(one.total for one in lengths) * activations(run) * run.shape.layers
    below, _ = _points(method)
    longest = max(one.scored(method.get("max_answer_tokens")) for one in lengths)
    together = 64 * longest * below * run.shape.layers
    rows = min(method.get("batch_rows", _BATCH_ROWS), together)
    read = min(
        max(4 * method.get("batch_rows", _BATCH_ROWS), 4096), 64 * max(one.total for one in lengths)
    )
    read = min(read, max(rows / (below * run.shape.layers), 1) * max(x.total for x in lengths))
    keys = read * run.shape.layers * 2 * run.shape.hidden * run.bytes
    found = _held(run, rows) + keys + 3 * 4 * _LOGITS[_place(run)]
    budget = run.config["models"][run.model].get("memory_mib")
    return found if budget is None else min(found, budget * 2**20)


def cache_memory(run: Run, lengths: Sequence[Lengths], batch: float) -> float:
    """Bytes of keys and values while so many prompts are answered together."""
    longest = max(x.prompt + x.answer * _SLACK_SHARE + _SLACK_TOKENS for x in lengths)
    width = run.shape.hidden * run.shape.kv_heads / run.shape.heads
    return batch * longest * 2 * width * run.shape.layers * run.bytes


def _place(run: Run) -> str:
    """Cpu or cuda."""
    return "cuda" if run.cuda else "cpu"


def memory(run: Run, working: float) -> Memory:
    """Memory of a job with the model: accelerator and host.

    Args:
        run: the model.
        working: bytes beside the weights.
    """
    process = _PROCESS[_place(run)]
    if run.cuda:
        # Weights are read into the host's memory first.
        return {"accelerator": run.weights + working, "host": process + run.weights}
    return {"accelerator": 0.0, "host": process + run.weights + working}


def numbers(name: str, jobs: int, disk: float = 0.0) -> Stage:
    """A stage without a model, as its start-up: the rest is below 2 % of each run in `config`.

    Args:
        name: of the rule.
        jobs: number.
        disk: bytes that stay.
    """
    return Stage(name, jobs, (), None, _NUMBERS, disk)
