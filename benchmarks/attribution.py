"""Four forms of the same computation side by side: `python benchmarks/attribution.py`.

One process, interleaved rounds, one thread, float32, random weights. The naive and cached forms are
timed at the corners of the grid of (answer token, layer); the time of a pair grows linearly in each
direction, so the mean of the corners times the number of pairs is the time of the grid. Ours is
timed whole, with one sample and with several in a call, as the workflow calls it; its seconds are
for one sample. That all forms give the same scores is asserted at the corners first.

Ours and the products that it is measured by have huge pages, as the stages that score; the other
forms do not, because logits of all positions are slower with them.

`--scaling` times ours alone over lengths, answers, layers and steps.
"""

import argparse
import ctypes
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_WAIT_POLICY"] = "passive"  # as the command line sets it, before torch is loaded

import torch
from transformers import LlamaConfig, LlamaForCausalLM

import machine
from attribution_counts import Shape
from attribution_forms import Problem, cached, largest_difference, naive, ours, prepare
from caploc.attribution.engine import Attribution, attribute
from caploc.attribution.memory import use_huge_pages
from caploc.models.language_model import LanguageModel, wrap_model

MIB = 2**20
# float32 over hundreds of products; a wrong form is off by much more.
ALLOWED = 1e-3
FORMS = ("naive, full logits", "naive, last logits", "cached", "ours", "ours, several samples")
ONE, SEVERAL = FORMS[-2:]
_PR_SET_THP_DISABLE = 41


def build(shape: Shape) -> LanguageModel:
    torch.manual_seed(0)
    config = LlamaConfig(
        num_hidden_layers=shape.layers, hidden_size=shape.hidden, intermediate_size=shape.ffn,
        num_attention_heads=shape.heads, num_key_value_heads=shape.kv_heads,
        vocab_size=shape.vocabulary, max_position_embeddings=4096, initializer_range=0.05,
    )  # fmt: skip
    return wrap_model(LlamaForCausalLM._from_config(config, attn_implementation="sdpa"))


def draw(shape: Shape, seed: int = 1) -> tuple[list[int], list[int]]:
    generator = torch.Generator().manual_seed(seed)
    n = shape.prompt + shape.answer
    ids = torch.randint(0, shape.vocabulary, (n,), generator=generator).tolist()
    return ids[: shape.prompt], ids[shape.prompt :]


def timed(run: Callable[[], Any]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def gemm_rate(rounds: int = 3) -> float:
    """Operations per second of float32 products, over a square and a block's shapes.

    The mean over a second or so: the speed of a shared machine changes within seconds, and the best
    of many short bursts is nothing that a run of a minute could keep up.
    """
    operations, seconds = 0, 0.0
    for m, k, n in ((2048, 2048, 2048), (4096, 512, 1376), (4096, 1376, 512)):
        a, b = torch.randn(m, k), torch.randn(n, k)
        a @ b.T  # warm
        for _ in range(rounds):
            operations += 2 * m * k * n
            seconds += timed(lambda a=a, b=b: a @ b.T)
    return operations / seconds


def allow_huge_pages(allowed: bool) -> None:
    """For memory that is touched from now on."""
    ctypes.CDLL(None).prctl(_PR_SET_THP_DISABLE, int(not allowed), 0, 0, 0)


class Peak:
    """Largest resident memory since `reset`, above the level when this object was made."""

    def __init__(self) -> None:
        self.rest = self._read("VmRSS")

    @staticmethod
    def reset() -> None:
        Path("/proc/self/clear_refs").write_text("5")

    @staticmethod
    def _read(key: str) -> float:
        status = Path("/proc/self/status").read_text()
        return next(int(s.split()[1]) for s in status.splitlines() if s.startswith(key)) / 1024

    def above(self) -> float:
        """MiB."""
        return round(self._read("VmHWM") - self.rest)


def compare(shape: Shape, options: argparse.Namespace) -> dict[str, Any]:
    """Time, memory and operations of the four forms."""
    lm = build(shape)
    prompt, answer = draw(shape)
    pairs = [
        (m, layer) for m in sorted({0, shape.answer - 1}) for layer in sorted({0, shape.layers - 1})
    ]
    few = prepare(lm, prompt, answer, steps=2)
    difference = largest_difference(few, pairs)
    assert max(difference.values()) < ALLOWED, difference
    problem = prepare(lm, prompt, answer, steps=options.steps)
    runs: dict[str, Callable[[], Any]] = {
        ONE: lambda: ours(problem),
        "cached": lambda: [cached(problem, *pair) for pair in pairs],
        "naive, last logits": lambda: [naive(problem, *p, last_only=True) for p in pairs],
        "naive, full logits": lambda: [naive(problem, *p, last_only=False) for p in pairs],
    }
    # How many times the corners make the grid.
    factor = dict.fromkeys(FORMS, shape.answer * shape.layers / len(pairs)) | {ONE: 1.0}
    if options.samples > 1:
        samples = [draw(shape, 1 + k) for k in range(options.samples)]
        asserted_alike(problem, samples)
        runs = {SEVERAL: lambda: together(problem, samples)} | runs
        factor[SEVERAL] = 1 / len(samples)
    seconds: dict[str, list[float]] = {form: [] for form in FORMS if form in runs}
    # Of products, before and after each run.
    rates: dict[str, list[float]] = {form: [] for form in seconds}
    peaks = dict.fromkeys(seconds, 0.0)
    peak = Peak()
    for i in range(options.rounds):
        before = gemm_rate()
        for form, run in runs.items():
            peak.reset()
            allow_huge_pages(form in (ONE, SEVERAL))
            seconds[form].append(timed(run) * factor[form])
            allow_huge_pages(True)
            if not i:
                peaks[form] = peak.above()
            after = gemm_rate()
            rates[form].append((before + after) / 2)
            before = after
        print(f"round {i + 1} of {options.rounds}", file=sys.stderr, flush=True)
        time.sleep(1)
    return {
        "equality_asserted_at_pairs": pairs,
        "largest_difference_relative_to_largest_score": {
            form: float(f"{value:.1e}") for form, value in difference.items()
        },
        "gemm_gflops_per_second": {
            form: [round(rate / 1e9, 1) for rate in found] for form, found in rates.items()
        },
        "forms": table_of(shape, seconds, peaks, rates),
    }


def together(problem: Problem, samples: list[tuple[list[int], list[int]]]) -> list[Attribution]:
    """Samples of one size in a single call."""
    return attribute(problem.lm, *map(list, zip(*samples, strict=True)), **problem.settings)


def asserted_alike(problem: Problem, samples: list[tuple[list[int], list[int]]]) -> None:
    """The first of several samples has the scores that it has alone."""
    alone, first = ours(problem), torch.from_numpy(together(problem, samples)[0].scores)
    difference = (alone - first).abs().max() / alone.abs().max()
    assert difference < ALLOWED, difference


def table_of(
    shape: Shape, seconds: dict[str, list[float]], peaks: dict[str, float],
    rates: dict[str, list[float]],
) -> dict[str, dict[str, Any]]:  # fmt: skip
    totals = shape.totals()
    totals[SEVERAL] = totals[ONE]
    # Attention's own products count as work, but not in the ratio, which is that of the formula.
    beside = dict.fromkeys(FORMS, 0.0) | dict.fromkeys((ONE, SEVERAL), shape.attention_of_ours())
    result = {}
    for form in seconds:
        least, middle = min(seconds[form]), statistics.median(seconds[form])
        of_counts = totals[form] / totals[ONE]
        ratios: dict[str, float] = {}
        for baseline, name in ((ONE, "ratio_of_times"), (SEVERAL, "ratio_to_several")):
            if baseline not in seconds:
                continue
            each = [a / b for a, b in zip(seconds[form], seconds[baseline], strict=True)]
            measured = least / min(seconds[baseline])
            ratios |= {
                name: round(measured, 1), f"{name}_median": round(statistics.median(each), 1),
                f"{name}_over_operations": round(measured / of_counts, 2),
            }  # fmt: skip
        work = totals[form] + beside[form]
        fractions = [work / s / rate for s, rate in zip(seconds[form], rates[form], strict=True)]
        result[form] = {
            "seconds": [round(s, 3) for s in seconds[form]],
            "seconds_minimum": round(least, 3),
            "seconds_median": round(middle, 3),
            "operations": totals[form],
            "fraction_of_gemm_rate": round(statistics.median(fractions), 3),
            "ratio_of_operations": round(of_counts, 1),
            **ratios,
            "peak_mib_above_rest": peaks[form],
        }
    return result


def scaling(base: Shape, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Ours alone, one size changed at a time."""
    changes: list[dict[str, int]] = [
        {}, {"prompt": 32}, {"prompt": 512}, {"answer": 1}, {"answer": 16},
        {"layers": 4}, {"layers": 16}, {"points": 6}, {"points": 40},
    ]  # fmt: skip
    problems: list[tuple[Shape, Problem]] = []
    for change in changes:
        shape = Shape(**vars(base) | change)
        problems.append((shape, prepare(build(shape), *draw(shape), steps=shape.points - 1)))
    seconds: list[list[float]] = [[] for _ in problems]
    rates = []
    for _ in range(options.rounds + 1):
        rates.append(gemm_rate(1))
        for found, (_, problem) in zip(seconds, problems, strict=True):
            found.append(timed(lambda problem=problem: ours(problem)))
    return [
        {
            "prompt": shape.prompt, "answer": shape.answer, "layers": shape.layers,
            "points": shape.points,
            "seconds_minimum": round(min(found[1:]), 3),
            "seconds_median": round(statistics.median(found[1:]), 3),
            "operations": shape.totals()["ours"],
            "fraction_of_gemm_rate": round(
                (shape.totals()["ours"] + shape.attention_of_ours())
                / min(found[1:]) / max(rates), 3,
            ),
            "ratio_of_operations_last_logits": round(
                shape.totals()["naive, last logits"] / shape.totals()["ours"], 1
            ),
        }
        for (shape, _), found in zip(problems, seconds, strict=True)
    ]  # fmt: skip


def markdown(rows: list[dict[str, Any]]) -> str:
    """A table; lists are left out, they are in the JSON."""
    keys = [key for key, value in rows[0].items() if not isinstance(value, list)]
    lines = [keys, ["---"] * len(keys)]
    for row in rows:
        lines.append([f"{v:.3g}" if isinstance(v, float) and v >= 1e6 else str(v)
                      for v in (row[key] for key in keys)])  # fmt: skip
    return "".join("| " + " | ".join(k.replace("_", " ") for k in line) + " |\n" for line in lines)


def save(
    name: str, measured: dict[str, Any], rows: list[dict[str, Any]], how: str = "one thread"
) -> None:
    """One JSON and one table of a run."""
    path = machine.save(name, measured)
    record = json.loads(path.read_text())
    text = f"{measured['what']}: `{record['command']}` on {record['machine']['cpu']}, {how}\n\n"
    path.with_suffix(".md").write_text(text + markdown(rows))
    print(markdown(rows))
    print(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--ffn", type=int, default=1376)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--vocabulary", type=int, default=32000)
    parser.add_argument("--prompt", type=int, default=128, help="tokens")
    parser.add_argument("--answer", type=int, default=1, help="tokens")
    parser.add_argument("--steps", type=int, default=19)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=8, help="in a call of several; 1: none")
    parser.add_argument("--scaling", action="store_true")
    options = parser.parse_args()
    use_huge_pages()  # as the stages that score do
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    shape = Shape(
        options.layers, options.hidden, options.ffn, options.heads, options.heads,
        options.vocabulary, options.prompt, options.answer, options.steps + 1,
    )  # fmt: skip
    facts = {"settings": vars(options), "threads": 1, "load_average_before": round(load, 2)}
    if options.scaling:
        rows = scaling(shape, options)
        save("attribution_scaling", facts | {"what": "ours, float32", "sizes": rows}, rows)
        return
    measured = compare(shape, options)
    rows = [{"form": form} | values for form, values in measured["forms"].items()]
    name = f"attribution_L{shape.layers}_T{shape.prompt}_Y{shape.answer}"
    save(name, facts | {"what": "four forms, float32, rule inclusive"} | measured, rows)


if __name__ == "__main__":
    main()
