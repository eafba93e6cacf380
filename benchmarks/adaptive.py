"""Error against operations of the path rules on the model of config/embedded.yaml.

    .venv/bin/python benchmarks/adaptive.py

Reference: the adaptive rule in float64 with up to 512 intervals and a tolerance of 1e-8. Error of a
layer: sum over samples and neurons of |score - reference|, divided by that of |reference|. A row
of layer l costs 4 * (weights of a block) * (L - 1 - l) + 4 * (weights of the head), forward and
backward; rows at c = 1 are shared by all layers and left out. `counted` is what torch counts in a
whole call, recording and all. L = 16 is by count: layer 0 needs the intervals that it needs here,
every other layer those of layers >= 1.
"""

import argparse
import json
import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch

from attribution_counts import Counter
from attribution_samples import MODEL, samples_of
from caploc.attribution.engine import Attribution, attribute
from caploc.attribution.rules import path_rule
from caploc.models.language_model import LanguageModel
from caploc.models.loading import load_model
from machine import save

FIXED = [
    ("inclusive", 19), ("midpoint", 20), ("gauss-legendre", 5), ("gauss-legendre", 10),
    ("gauss-legendre", 20), ("gauss-legendre", 40),
]  # fmt: skip
ADAPTIVE = [
    (4, 1.0), (8, 1e-3), (16, 1e-3), (32, 1e-2), (32, 1e-3), (64, 1e-2), (64, 3e-3), (64, 1e-3),
    (64, 1e-4), (128, 1e-4),
]  # fmt: skip
DEEP = 16


def operations(run: Callable[[], None]) -> float:
    with Counter() as counter:
        run()
    return counter.total


def row_costs(lm: LanguageModel, n_layers: int) -> np.ndarray:
    """(layer,) operations of a row that starts in that layer of a model of `n_layers`."""
    block = sum(p.numel() for p in lm.blocks[0].parameters() if p.dim() == 2)
    return 4 * (block * np.arange(n_layers - 1, -1, -1.0) + lm.head.weight.numel())


def n_rows(found: list[Attribution], rule: str, steps: int) -> np.ndarray:
    """(layer,) rows below c = 1 over all samples and answer tokens."""
    if rule == "adaptive":
        return np.sum([a.intervals.sum(1) for a in found], axis=0)
    tokens = sum(len(a.positions) for a in found)
    return np.full(len(found[0].scores), tokens * len(path_rule(rule, steps).scaled[0]))


def measure(
    lm: LanguageModel, rule: str, steps: int, tolerance: float, samples: Any,
    reference: list[Attribution],
) -> dict[str, Any]:  # fmt: skip
    found: list[Attribution] = []

    def run() -> None:
        found.extend(attribute(lm, *samples, rule=rule, steps=steps, tolerance=tolerance))

    counted = operations(run)
    pairs = list(zip(found, reference, strict=True))
    wrong = np.sum([np.abs(a.scores - b.scores).sum(1) for a, b in pairs], axis=0)
    size = np.sum([np.abs(b.scores).sum(1) for _, b in pairs], axis=0)
    rows = n_rows(found, rule, steps)
    cost = rows * row_costs(lm, lm.n_layers)
    deep = np.r_[rows[0], np.full(DEEP - 1, rows[1:].mean())] * row_costs(lm, DEEP)
    gap = np.concatenate([a.gap.max(0) for a in found])
    return {
        "rule": rule, "steps": steps, "tolerance": tolerance if rule == "adaptive" else None,
        "error_layer_0": wrong[0] / size[0], "error_layers_above": wrong[1:].sum() / size[1:].sum(),
        "error_by_layer": (wrong / size).tolist(),
        "operations_layer_0": cost[0], "operations_layers_above": cost[1:].sum(),
        "operations": cost.sum(), "counted": counted, "operations_16_layers": deep.sum(),
        "largest_gap": gap.max(),
    }  # fmt: skip


def compared(row: dict[str, Any], default: dict[str, Any]) -> dict[str, Any]:
    """How many times lower the errors are than the default's, and the share of its operations."""
    numbers = {
        f"error_{part}_lower": default[f"error_{part}"] / row[f"error_{part}"]
        for part in ("layer_0", "layers_above")
    }
    names = ("operations", "operations_layers_above", "operations_16_layers", "counted")
    numbers |= {f"{name}_share": row[name] / default[name] for name in names}
    return row | numbers


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return float(f"{value:.3g}") if isinstance(value, float) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--tasks", nargs="+", default=["word-problems", "code-running", "emotions"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    lm = load_model(MODEL, dtype="float64")
    curves = {}
    for task in options.tasks:
        samples = samples_of(lm, options.samples, task)
        reference = attribute(lm, *samples, rule="adaptive", steps=512, tolerance=1e-8)
        other = attribute(lm, *samples, rule="gauss-legendre", steps=160)
        wrong = sum(
            np.abs(a.scores - b.scores).sum() for a, b in zip(other, reference, strict=True)
        )
        rows = [measure(lm, *r, 1.0, samples, reference) for r in FIXED]
        rows += [measure(lm, "adaptive", *r, samples, reference) for r in ADAPTIVE]
        curves[task] = {
            "samples": len(reference),
            "answer_tokens": sum(len(a.positions) for a in reference),
            "reference_largest_gap": float(max(a.gap.max() for a in reference)),
            "reference_against_gauss_legendre_160": float(
                wrong / sum(np.abs(a.scores).sum() for a in reference)
            ),
            "curve": [compared(row, rows[0]) for row in rows],
        }
    measured = rounded({"what": __doc__.splitlines()[0], "tasks": curves})
    print(json.dumps(measured, indent=1))
    print(save("adaptive", measured))


if __name__ == "__main__":
    main()
