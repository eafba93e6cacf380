"""The engine on a GPU at the shapes of real models: `python benchmarks/attribution_gpu.py`.

Random weights in bfloat16, 200 prompt and 100 answer tokens. Samples per second, fraction of the
measured bfloat16 matmul rate, memory; then, for a few answer tokens, the scores against the naive
form in float32 with the same weights. Without a GPU the table says "not measured".

`--device cpu --toy` runs all of it on a tiny shape, to see that the code works.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import AutoModelForCausalLM, GPTJConfig, LlamaConfig

from attribution import draw, save
from attribution_counts import Shape
from attribution_forms import naive, ours, pair_of_ours, prepare
from caploc.models.language_model import LanguageModel, wrap_model

NOT_MEASURED = "not measured"


def llama(layers: int, hidden: int, ffn: int, heads: int) -> LlamaConfig:
    return LlamaConfig(
        num_hidden_layers=layers, hidden_size=hidden, intermediate_size=ffn,
        num_attention_heads=heads, num_key_value_heads=heads, vocab_size=32000,
        max_position_embeddings=4096,
    )  # fmt: skip


SHAPES: dict[str, Any] = {
    "Llama-2-7B": llama(32, 4096, 11008, 32),
    "Llama-2-13B": llama(40, 5120, 13824, 40),
    "GPT-J-6B": GPTJConfig(),
}
TOY: dict[str, Any] = {
    "toy Llama": llama(3, 32, 48, 4),
    "toy GPT-J": GPTJConfig(n_layer=3, n_embd=32, n_head=4, rotary_dim=4, vocab_size=500),
}


def shape_of(config: Any, prompt: int, answer: int, points: int) -> Shape:
    gated = hasattr(config, "intermediate_size")
    heads = config.num_attention_heads
    return Shape(
        config.num_hidden_layers, config.hidden_size,
        config.intermediate_size if gated else 4 * config.hidden_size, heads,
        config.num_key_value_heads if gated else heads, config.vocab_size, prompt, answer, points,
        gated=gated,
    )  # fmt: skip


def build(config: Any, device: torch.device) -> LanguageModel:
    torch.manual_seed(0)
    attention = "sdpa" if isinstance(config, LlamaConfig) else "eager"
    with device:
        model = AutoModelForCausalLM.from_config(
            config, dtype=torch.bfloat16, attn_implementation=attention
        )
    return wrap_model(model)


def synchronised(run: Callable[[], Any], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def matmul_rate(device: torch.device, size: int) -> float:
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * size**3 / min(synchronised(lambda: a @ b, device) for _ in range(10))


def measure(config: Any, device: torch.device, options: argparse.Namespace) -> dict[str, Any]:
    lm = build(config, device)
    shape = shape_of(config, options.prompt, options.answer, options.steps + 1)
    problem = prepare(lm, *draw(shape), steps=options.steps)
    settings = {"batch_rows": options.batch_rows}
    ours(problem, **settings)
    rate = matmul_rate(device, 256 if options.toy else 8192)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = [
        synchronised(lambda: ours(problem, **settings), device) for _ in range(options.rounds)
    ]
    peak = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else None
    middle = statistics.median(seconds)
    result = {
        "samples_per_second": round(1 / middle, 3),
        "seconds": [round(s, 3) for s in seconds],
        "operations": shape.totals()["ours"],
        "ratio_of_operations_last_logits": round(
            shape.totals()["naive, last logits"] / shape.totals()["ours"], 1
        ),
        "matmul_tflops_per_second": round(rate / 1e12, 2),
        "fraction_of_matmul_rate": round(shape.totals()["ours"] / middle / rate, 3),
        "peak_gib": None if peak is None else round(peak, 1),
    }
    return result | correctness(problem)


def correctness(problem: Any) -> dict[str, Any]:
    """Ours in bfloat16 against the naive form in float32, same weights, on a few pairs."""
    pairs = [(0, 0), (0, problem.lm.n_layers - 1), (len(problem.answer) - 1, 1)]
    found = {m: pair_of_ours(problem, m) for m in {m for m, _ in pairs}}
    lm = problem.lm
    lm.model.float()
    wide = prepare(lm, problem.prompt, problem.answer, steps=problem.steps)
    errors = []
    for m, layer in pairs:
        expected = naive(wide, m, layer, last_only=True).cpu()
        difference = found[m][layer] - expected
        errors.append((difference.abs().sum() / expected.abs().sum()).item())
    return {"mean_error_against_float32": max(round(e, 4) for e in errors)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--prompt", type=int, default=200, help="tokens")
    parser.add_argument("--answer", type=int, default=100, help="tokens")
    parser.add_argument("--steps", type=int, default=19)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-rows", type=int, default=16384)
    options = parser.parse_args()
    there = options.device != "cuda" or torch.cuda.is_available()
    rows = []
    for name, config in (TOY if options.toy else SHAPES).items():
        row: dict[str, Any] = {"shape": name}
        if there:
            row |= measure(config, torch.device(options.device), options)
            if options.device == "cuda":
                torch.cuda.empty_cache()
        else:
            row |= {"samples_per_second": NOT_MEASURED, "fraction_of_matmul_rate": NOT_MEASURED}
        rows.append(row)
    hardware = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    facts = {"what": "bfloat16, random weights, rule inclusive", "hardware": hardware,
             "settings": vars(options)}  # fmt: skip
    name = "attribution_gpu_toy" if options.toy else "attribution_gpu"
    save(name, facts | {"rows": rows}, rows, how=hardware or "no GPU")


if __name__ == "__main__":
    main()
