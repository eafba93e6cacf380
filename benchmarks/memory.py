"""Bytes of the attribution engine: predicted, measured, and the budget they stand under.

    .venv/bin/python benchmarks/memory.py

For each shape: what is predicted without a budget, then shares of it as the budget. Measured is the
peak of tensor bytes beside the weights, by the engine's own meter (every result of every operation
until it is freed) and, for the first budget, by torch's allocator. On a GPU it is
`torch.cuda.max_memory_allocated`. Scores are compared with those without a budget.
"""

import argparse
import itertools
import re
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig

from attribution import save
from caploc.attribution.engine import attribute, planner_of
from caploc.attribution.rules import path_rule
from caploc.attribution.tensor_bytes import TensorBytes
from caploc.models.language_model import wrap_model
from caploc.records import DataError

RULE, STEPS = "inclusive", 19
SHARES = (1, 1 / 2, 1 / 4)


def llama(layers: int, hidden: int, ffn: int, heads: int, vocabulary: int) -> LlamaConfig:
    return LlamaConfig(
        num_hidden_layers=layers, hidden_size=hidden, intermediate_size=ffn,
        num_attention_heads=heads, num_key_value_heads=heads, vocab_size=vocabulary,
        max_position_embeddings=2048,
    )  # fmt: skip


# Name: configuration, dtype, site, (prompt, answer) of each sample.
SHAPES: dict[str, tuple[Any, torch.dtype, str, list[tuple[int, int]]]] = {
    "Llama, 4 layers of 1,024, short samples": (
        llama(4, 96, 1024, 4, 400), torch.float32, "post", [(25, 9)] * 8),
    "Llama, 8 layers of 1,376, long prompt": (
        llama(8, 512, 1376, 8, 8000), torch.float32, "post", [(256, 2)]),
    "Llama, 4 layers of 688, bfloat16": (
        llama(4, 256, 688, 8, 8000), torch.bfloat16, "post", [(100, 4), (60, 4)]),
    "Llama, 4 layers of 688, site pre": (
        llama(4, 256, 688, 8, 8000), torch.float32, "pre", [(60, 4)]),
    "GPT-2, 4 layers of 1,024": (
        GPT2Config(n_layer=4, n_embd=256, n_head=8, vocab_size=8000), torch.float32, "post",
        [(100, 4)]),
}  # fmt: skip


def draw(sizes: list[tuple[int, int]], vocabulary: int) -> tuple[list[list[int]], list[list[int]]]:
    chance = np.random.default_rng(0)
    prompts = [chance.integers(1, vocabulary, x).tolist() for x, _ in sizes]
    return prompts, [chance.integers(1, vocabulary, y).tolist() for _, y in sizes]


def peak(run: Any, device: torch.device) -> tuple[Any, int]:
    """Result and most bytes beside those before."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        return run(), torch.cuda.max_memory_allocated() - before
    with TensorBytes() as meter:
        return run(), meter.peak


def allocated(run: Any) -> int:
    """The same from the events of torch's allocator on the processor."""
    activity = torch.profiler.ProfilerActivity.CPU
    with torch.profiler.profile(activities=[activity], profile_memory=True) as profile:
        run()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    steps = [e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())]
    return max(itertools.accumulate(steps))


def measure(name: str, device: torch.device) -> list[dict[str, Any]]:
    config, dtype, site, sizes = SHAPES[name]
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    lm = wrap_model(model.to(device))
    prompts, answers = draw(sizes, config.vocab_size)
    lengths = [(y, x + y - 1) for x, y in sizes]
    settings: dict[str, Any] = {"rule": RULE, "steps": STEPS, "site": site}

    def planner(budget: int | None) -> Any:
        names = [str(i) for i in range(len(sizes))]
        return planner_of(lm, path_rule(RULE, STEPS), site, lengths, names, 4096, budget)

    def predicted(budget: int) -> tuple[int, Any]:
        plan = planner(budget)
        return max((plan.bytes_of(batch), i, batch) for i, batch in enumerate(plan.batches()))[::2]

    least = smallest(planner)
    plan = planner(None)
    whole = max(plan.bytes_of(batch) for batch in plan.batches())
    expected = attribute(lm, prompts, answers, **settings)
    rows = []
    for k, share in enumerate(SHARES):
        budget = max(round(whole * share), least)
        bytes_, batch = predicted(budget)
        run = lambda budget=budget: attribute(  # noqa: E731
            lm, prompts, answers, memory_bytes=budget, **settings
        )
        found, measured = peak(run, device)
        row = {
            "shape": name, "budget_mib": mib(budget), "predicted_mib": mib(bytes_),
            "measured_mib": mib(measured), "measured_over_predicted": round(measured / bytes_, 3),
            "within_budget": measured <= budget,
            "samples": len(batch.members), "tokens": batch.n_tokens, "points": batch.n_points,
            "layers": batch.n_layers, "run_again": batch.recompute,
            "difference_of_scores": difference(found, expected),
        }  # fmt: skip
        if device.type == "cpu" and not k:
            row["allocator_mib"] = mib(allocated(run))
        rows.append(row)
        print(row, flush=True)
    rows[0]["smallest_possible_mib"] = mib(least)
    return rows


def smallest(planner: Any) -> int:
    try:
        planner(1).batches()
    except DataError as error:
        return int(re.findall(r"memory_bytes=(\d+)", str(error))[0])
    raise AssertionError("one byte was enough")


def difference(found: list[Any], expected: list[Any]) -> float:
    """Largest, relative to the largest score of the sample."""
    pairs = zip(found, expected, strict=True)
    return max(
        float(f"{np.abs(a.scores - b.scores).max() / np.abs(b.scores).max():.1e}") for a, b in pairs
    )


def mib(n: float) -> float:
    return round(n / 2**20, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(options.device)
    rows = [row for name in SHAPES for row in measure(name, device)]
    shares = [row["measured_over_predicted"] for row in rows]
    facts = {
        "what": f"bytes beside the weights, rule {RULE}, S = {STEPS}",
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "settings": vars(options),
        "least_measured_over_predicted": min(shares),
        "largest_measured_over_predicted": max(shares),
        "always_within_budget": all(row["within_budget"] for row in rows),
    }
    extra = ("allocator_mib", "smallest_possible_mib")
    shown = [{k: v for k, v in row.items() if k not in extra} for row in rows]
    save("memory", facts | {"rows": rows}, shown)


if __name__ == "__main__":
    main()
