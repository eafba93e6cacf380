"""Products of float32 matrices by MKL and by oneDNN: `python benchmarks/products.py`.

One thread, processor seconds, medians over rounds in which the two take turns. `shapes`: single
products, rows x inner x columns, in 10^9 operations a second, and their largest error relative to
the largest number of the product in float64. `whole`: what that makes of scoring and of training,
random models: `demo` has the shape of the embedded model, `16 layers` is that of
`attribution_L16_T256_Y64.json` with 13 answer tokens.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from attribution import build, draw
from attribution_counts import Shape
from caploc.attribution.engine import attribute
from caploc.experiments.enhancement._training import Recipe, Training
from caploc.forward import processor as products
from caploc.interventions.slices import Slices
from machine import save

SHAPES = (
    (500, 96, 1024), (500, 1024, 96), (1024, 500, 96), (64, 96, 1024), (8, 96, 96),
    (2000, 512, 1376), (1000, 4096, 11008),
)  # fmt: skip
DEMO = Shape(4, 96, 1024, 4, 2, 512, 24, 10, 20)
DEEP = Shape(16, 512, 1376, 8, 8, 32000, 256, 13, 20)
ROUNDS = 9


def seconds(call: Callable[[], Any]) -> float:
    """Processor seconds of one call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def of_shape(rows: int, inner: int, columns: int) -> dict[str, Any]:
    """Rates and errors of one product with the transpose of a weight."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(rows, inner, generator=generator)
    b = torch.randn(columns, inner, generator=generator).T
    exact = a.double() @ b.double()
    calls = {
        "torch": lambda: torch.mm(a, b, out=a.new_empty(0)),
        "onednn": lambda: products._onednn(a, b, None),
    }
    repeats = max(1, 10**8 // (rows * inner * columns))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            times[name].append(seconds(lambda call=call: [call() for _ in range(repeats)]))
    found: dict[str, Any] = {"shape": [rows, inner, columns]}
    for name, call in calls.items():
        rate = 2e-9 * rows * inner * columns * repeats / statistics.median(times[name])
        error = (call().double() - exact).abs().max() / exact.abs().max()
        found[name] = {"gigaflops": round(rate, 1), "error": float(f"{float(error):.1e}")}
    return found


def whole(call: Callable[[], Any], rounds: int) -> dict[str, Any]:
    """Processor seconds of the same work without and with oneDNN."""
    limit, times = products._FEWEST, {"torch": [], "onednn": []}
    call()
    for _ in range(rounds):
        for name, fewest in (("torch", 2**62), ("onednn", limit)):
            products._FEWEST = fewest
            times[name].append(seconds(call))
    ratios = [a / b for a, b in zip(*times.values(), strict=True)]
    return {
        "seconds_median": {k: round(statistics.median(v), 3) for k, v in times.items()},
        "times_faster_median": round(statistics.median(ratios), 2),
        "times_faster_range": [round(min(ratios), 2), round(max(ratios), 2)],
    }


def training_step(share: float) -> Callable[[], Any]:
    """A step with 16 samples of the demo's shape that trains a share of the neurons."""
    lm = build(DEMO)
    generator = np.random.default_rng(0)
    mask = generator.random((lm.n_layers, lm.n_neurons)) < share
    rows = generator.integers(DEMO.vocabulary, size=(16, 33)).tolist()
    samples = [(row[:-10], row[-10:]) for row in rows]
    return Training(lm, Slices(lm, mask), samples, Recipe(1e-4, 16, seed=0)).step


def main() -> None:
    """Measure and write the result."""
    torch.set_num_threads(1)
    shapes = [of_shape(*shape) for shape in SHAPES]
    products.use_onednn()
    demo, deep = build(DEMO), build(DEEP)
    many = [draw(DEMO) for _ in range(32)]
    one = draw(DEEP)
    prompts, answers = ([sample[i] for sample in many] for i in (0, 1))
    work = {
        "scores, demo": (lambda: attribute(demo, prompts, answers), 5),
        "scores, 16 layers": (lambda: attribute(deep, [one[0]], [one[1]]), 3),
        "training step, demo, 0.3 % of the neurons": (training_step(0.003), 25),
        "training step, demo, 99.7 % of the neurons": (training_step(0.997), 25),
    }
    measured = {
        "mkl_is_slow": products.mkl_is_slow(),
        "shapes": shapes,
        "whole": {name: whole(*one) for name, one in work.items()},
    }
    print(save("products", measured).read_text())


if __name__ == "__main__":
    main()
