"""Largest error of every decoder family against the definition: `python benchmarks/families.py`.

Random models of three layers in float64, the samples and the slow computation of the tests. An
error is elementwise and relative, values below 1e-6 of the largest count as that.
"""

import os
import sys
from pathlib import Path

os.environ["OMP_WAIT_POLICY"] = "passive"  # as the command line sets it, before torch is loaded
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "attribution"))

from test_engine import worst
from test_families import ANSWERS, PROMPTS, RULE, STEPS, definition
from tiny_families import FAMILIES, softmax_in_float64

import machine
from caploc.attribution.engine import attribute
from caploc.attribution.injection import SITES


def largest_errors(name: str) -> dict[str, float]:
    """By site, over all samples, layers and neurons."""
    lm = FAMILIES[name]()
    errors = {}
    with softmax_in_float64():
        for site in SITES:
            found = attribute(lm, PROMPTS, ANSWERS, rule=RULE, steps=STEPS, site=site)
            errors[site] = max(
                worst(ours.scores, definition(lm, i, site).mean) for i, ours in enumerate(found)
            )
    return errors


def main() -> None:
    measured = {}
    for name in FAMILIES:
        measured[name] = largest_errors(name)
        print(f"{name:32s}", *(f"{site} {error:.1e}" for site, error in measured[name].items()))
    lengths = [[len(x), len(y)] for x, y in zip(PROMPTS, ANSWERS, strict=True)]
    path = machine.save(
        "families",
        {"rule": RULE, "steps": STEPS, "prompt_and_answer_tokens": lengths, "errors": measured},
    )
    print(path)


if __name__ == "__main__":
    main()
