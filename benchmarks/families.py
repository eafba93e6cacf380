"""Largest error of every architecture against the definition: `python benchmarks/families.py`.

Random models of two layers in float64, the samples and the slow computation of the tests. An error
is a part of the largest score of its sample.
"""

import os
import sys
from pathlib import Path

os.environ["OMP_WAIT_POLICY"] = "passive"  # as the command line sets it, before torch is loaded
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "attribution"))

from test_architectures import ANSWERS, PROMPTS, RULE, STEPS, largest_error
from tiny_architectures import DECLARED, in_float64, tiny_architecture

import machine
from caploc.attribution.injection import SITES
from caploc.models.language_model import wrap_model


def main() -> None:
    measured = {}
    for name in sorted(DECLARED):
        lm = wrap_model(tiny_architecture(name))
        with in_float64():
            measured[name] = {site: largest_error(lm, site) for site in SITES}
        print(f"{name:36s}", *(f"{site} {error:.1e}" for site, error in measured[name].items()))
    lengths = [[len(x), len(y)] for x, y in zip(PROMPTS, ANSWERS, strict=True)]
    path = machine.save(
        "families",
        {"rule": RULE, "steps": STEPS, "prompt_and_answer_tokens": lengths, "errors": measured},
    )
    print(path)


if __name__ == "__main__":
    main()
