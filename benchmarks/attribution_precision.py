"""Error of each number format against float64: `python benchmarks/attribution_precision.py`.

The reference computes in float64 with the same (rounded) weights, so what is shown is the rounding
of the computation, not of the weights. One random model and the model of config/embedded.yaml, if
it is there.
"""

import argparse
import copy
import os
from pathlib import Path
from typing import Any

os.environ["OMP_WAIT_POLICY"] = "passive"  # as the command line sets it, before torch is loaded

import numpy as np
import torch

from attribution import build, draw, save
from attribution_counts import Shape
from attribution_samples import MODEL, samples_of
from caploc.attribution.public import attribute
from caploc.models.loading import load_model

DTYPES = ("float64", "float32", "bfloat16", "float16")
TOP = 50


def compare(model: Any, prompts: list[list[int]], answers: list[list[int]]) -> list[dict[str, Any]]:
    rows = []
    for name in DTYPES:
        rounded = copy.deepcopy(model).to(getattr(torch, name))
        wide = copy.deepcopy(rounded).double()
        found = attribute(rounded, prompts, answers)
        expected = attribute(wide, prompts, answers)
        pairs = [(f.scores.astype(np.float64), e.scores)
                 for f, e in zip(found, expected, strict=True)]  # fmt: skip
        errors = [np.abs(f - e).sum() / np.abs(e).sum() for f, e in pairs]
        largest = [np.abs(f - e).max() / np.abs(e).max() for f, e in pairs]
        shared = [len(top(f) & top(e)) / TOP for f, e in pairs]
        probability = [np.abs(f.probability / e.probability - 1).max()
                       for f, e in zip(found, expected, strict=True)]  # fmt: skip
        rows.append(
            {
                "dtype": name,
                "mean_error_relative": f"{np.mean(errors):.1e}",
                "largest_error_relative_to_largest_score": f"{max(largest):.1e}",
                "correlation": round(float(np.mean([correlation(*p) for p in pairs])), 6),
                f"top_{TOP}_shared": round(float(np.mean(shared)), 3),
                "largest_relative_error_of_probability": f"{max(probability):.1e}",
            }
        )
    return rows


def top(scores: np.ndarray) -> set[int]:
    return set(np.argsort(np.abs(scores), axis=None)[-TOP:].tolist())


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL, help="folder of a trained model")
    parser.add_argument("--samples", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    shape = Shape(6, 256, 688, 8, 4, 2000, 48, 4, 20)
    prompt, answer = draw(shape)
    rows = [{"model": "random, 6 layers of 688"} | row
            for row in compare(build(shape).model, [prompt], [answer])]  # fmt: skip
    if options.model.is_dir():
        lm = load_model(options.model)
        prompts, answers = samples_of(lm, options.samples)
        rows += [
            {"model": "trained, config/embedded.yaml"} | r
            for r in compare(lm.model, prompts, answers)
        ]
    settings = vars(options) | {"model": os.path.relpath(options.model)}
    save(
        "attribution_precision",
        {"what": "scores against float64 on the same weights, rule inclusive", "rows": rows}
        | {"settings": settings},
        rows,
    )


if __name__ == "__main__":
    main()
