"""Processor seconds of scoring with and without huge pages: `python benchmarks/huge_pages.py`.

Torch decides once in a process, so each measurement is a process of its own with one thread; the
two take turns. `demo` are 60 word problems of config/embedded.yaml, `16 layers` 13 answer tokens of
the shape of `attribution_L16_T256_Y64.json`. Numbers must be the same bit for bit.
"""

import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
from typing import Any

from machine import save

ROUNDS = 3
SHAPES = ("demo", "16 layers")


def measure(shape: str) -> dict[str, Any]:
    """The second of two calls in this process."""
    os.environ["OMP_WAIT_POLICY"] = "passive"
    import torch

    from attribution import build, draw
    from attribution_counts import Shape
    from attribution_samples import MODEL, samples_of
    from caploc.attribution.engine import attribute
    from caploc.models.loading import load_model

    torch.set_num_threads(1)
    if shape == "demo":
        lm = load_model(MODEL)
        prompts, answers = samples_of(lm, 60)
    else:
        sizes = Shape(16, 512, 1376, 8, 8, 32000, 256, 13, 20)
        lm = build(sizes)
        prompts, answers = ([ids] for ids in draw(sizes))
    attribute(lm, prompts[:32], answers[:32])
    before = resource.getrusage(resource.RUSAGE_SELF)
    found = attribute(lm, prompts, answers)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "user": after.ru_utime - before.ru_utime,
        "system": after.ru_stime - before.ru_stime,
        "faults": after.ru_minflt - before.ru_minflt,
        "peak_mib": after.ru_maxrss / 2**10,
        "bits": hashlib.sha256(b"".join(one.scores.tobytes() for one in found)).hexdigest(),
    }


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
        return
    result: dict[str, Any] = {}
    for shape in SHAPES:
        found: dict[str, list[dict[str, Any]]] = {"0": [], "1": []}
        for _ in range(ROUNDS):
            for enabled, runs in found.items():
                text = subprocess.run(
                    [sys.executable, __file__, shape], check=True, capture_output=True, text=True,
                    env=os.environ | {"THP_MEM_ALLOC_ENABLE": enabled},
                ).stdout  # fmt: skip
                runs.append(json.loads(text))
        assert len({run["bits"] for runs in found.values() for run in runs}) == 1, shape
        seconds = {k: [run["user"] + run["system"] for run in v] for k, v in found.items()}
        result[shape] = {
            "ratio_of_processor_seconds_median": round(
                statistics.median(b / a for a, b in zip(*seconds.values(), strict=True)), 3
            ),
            **{
                name: {
                    k: [round(run[k], 2) for run in found[enabled]]
                    for k in ("user", "system", "faults", "peak_mib")
                }
                for enabled, name in (("0", "without"), ("1", "with"))
            },
        }
    path = save("huge_pages", {"what": "scores, float32, one thread", "shapes": result})
    sys.stdout.write(path.read_text())


if __name__ == "__main__":
    main()
