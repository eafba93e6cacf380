"""Speed of the attribution engine: `python benchmarks/attribution.py`.

(a) Samples per second, random weights, on the architecture of the embedded model and on a wider
one. (b) Against the definition computed directly: for every answer token and layer one batch with
all path points, the whole sequence each time, logits of the last position only. Both compute the
same scores (compared here), interleaved in one process; operations are counted by torch.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_WAIT_POLICY"] = "passive"  # as the command line sets it, before torch is loaded

import torch
import yaml
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from transformers import LlamaConfig, LlamaForCausalLM

import machine
from caploc.attribution.engine import attribute
from caploc.attribution.rules import path_rule
from caploc.models._language_model import LanguageModel, wrap_model

CONFIG = Path(__file__).parents[1] / "config.yaml"
VOCAB = 400


def build(
    layers: int, hidden: int, ffn: int, heads: int, kv_heads: int, context: int
) -> LanguageModel:
    torch.manual_seed(0)
    config = LlamaConfig(
        num_hidden_layers=layers, hidden_size=hidden, intermediate_size=ffn,
        num_attention_heads=heads, num_key_value_heads=kv_heads, vocab_size=VOCAB,
        max_position_embeddings=context, initializer_range=0.1,
    )  # fmt: skip
    return wrap_model(LlamaForCausalLM._from_config(config, attn_implementation="sdpa"))


def draw(n: int, prompt: int, answer: int) -> tuple[list[list[int]], list[list[int]]]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, VOCAB, (n, prompt + answer), generator=generator).tolist()
    return [row[:prompt] for row in ids], [row[prompt:] for row in ids]


def direct(lm: LanguageModel, prompt: list[int], answer: list[int], steps: int) -> torch.Tensor:
    """(layer, neuron) scores of one sample by running the model again for every layer and token."""
    path = path_rule("inclusive", steps)
    points = torch.tensor(path.points, dtype=torch.float32)[:, None]
    weights = torch.tensor(path.weights, dtype=torch.float32)[:, None]
    total = torch.zeros(lm.n_layers, lm.n_neurons)
    for m, token in enumerate(answer):
        ids = torch.tensor([prompt + answer[:m]])
        for layer, projection in enumerate(lm.projections):
            w: list[torch.Tensor] = []
            with torch.no_grad():
                handle = projection.register_forward_pre_hook(
                    lambda module, args, w=w: w.append(args[0][0, -1])
                )
                lm.model(input_ids=ids, use_cache=False, logits_to_keep=1)
                handle.remove()
            scaled = (points * w[0]).requires_grad_(True)

            def put(module: Any, args: Any, scaled: torch.Tensor = scaled) -> Any:
                return (torch.cat([args[0][:, :-1], scaled[:, None]], dim=1),)

            handle = projection.register_forward_pre_hook(put)
            batch = ids.expand(len(points), -1)
            logits = lm.model(input_ids=batch, use_cache=False, logits_to_keep=1).logits[:, -1]
            handle.remove()
            probability = torch.softmax(logits, -1)[:, token]
            (slope,) = torch.autograd.grad(probability.sum(), scaled)
            total[layer] += w[0] * (weights * slope).sum(0)
    return total / len(answer)


def timed(run: Callable[[], Any]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


class Counter(TorchDispatchMode):
    """Counts operations of matrix products, forward and backward.

    `FlopCounterMode` hooks modules as well, which `autograd.grad` towards a module's input forbids.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=out)
        return out


def operations(run: Callable[[], Any]) -> float:
    """Floating-point operations; a multiplication and an addition are two."""
    with Counter() as counter:
        run()
    return float(counter.total)


def throughput(lm: LanguageModel, threads: int, options: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(threads)
    prompts, answers = draw(options.samples, options.prompt, options.answer)
    settings = {"steps": options.steps, "batch_rows": options.batch_rows}
    attribute(lm, prompts[:4], answers[:4], **settings)
    before = time.process_time()
    seconds = [
        timed(lambda: attribute(lm, prompts, answers, **settings)) for _ in range(options.runs)
    ]
    processor = (time.process_time() - before) / options.runs
    return {
        "samples_per_second_median": round(options.samples / statistics.median(seconds), 1),
        "samples_per_second": [round(options.samples / s, 1) for s in seconds],
        "processor_milliseconds_per_sample": round(1000 * processor / options.samples, 1),
    }


def comparison(lm: LanguageModel, options: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(options.threads[0])
    n = 16
    prompts, answers = draw(n, options.prompt, options.answer)
    settings = {"steps": options.steps, "batch_rows": options.batch_rows}

    def one_direct() -> torch.Tensor:
        return direct(lm, prompts[0], answers[0], options.steps)

    def one() -> Any:
        return attribute(lm, prompts[:1], answers[:1], **settings)[0]

    def many() -> Any:
        return attribute(lm, prompts, answers, **settings)

    expected, found = one_direct(), torch.from_numpy(one().scores)
    rounds = [(timed(one_direct), timed(one), timed(many) / n) for _ in range(options.runs)]
    counted = operations(one_direct), operations(one)
    return {
        "largest_difference_relative_to_largest_score": float(
            f"{((found - expected).abs().max() / expected.abs().max()).item():.1e}"
        ),
        "seconds_per_sample_direct": [round(r[0], 3) for r in rounds],
        "seconds_per_sample_alone": [round(r[1], 4) for r in rounds],
        f"seconds_per_sample_batch_of_{n}": [round(r[2], 4) for r in rounds],
        "ratio_alone_median": round(statistics.median(r[0] / r[1] for r in rounds), 1),
        "ratio_batch_median": round(statistics.median(r[0] / r[2] for r in rounds), 1),
        "operations_direct": counted[0],
        "operations_engine": counted[1],
        "ratio_of_operations": round(counted[0] / counted[1], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--prompt", type=int, default=25, help="tokens")
    parser.add_argument("--answer", type=int, default=9, help="tokens")
    parser.add_argument("--steps", type=int, default=19)
    parser.add_argument("--batch-rows", type=int, default=4096)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    embedded = yaml.safe_load(CONFIG.read_text())["models"]["embedded"]["architecture"]
    wider = {"layers": 4, "hidden": 128, "ffn": 1024, "heads": 4, "kv_heads": 2, "context": 128}
    shapes = {"embedded": embedded, "hidden 128": wider}
    load = os.getloadavg()[0]
    measured = {
        "what": "attribution engine, float32, rule inclusive",
        "settings": vars(options) | {"vocabulary": VOCAB},
        "architectures": shapes,
        "throughput": {
            f"{name}, {n} threads": throughput(build(**s), n, options)
            for name, s in shapes.items()
            for n in options.threads
        },
        "against_the_definition": comparison(build(**wider), options),
        "load_average_before": round(load, 2),
    }
    print(json.dumps(measured, indent=1))
    print(machine.save("attribution", measured))


if __name__ == "__main__":
    main()
