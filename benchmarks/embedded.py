"""Samples per second of the attribution engine in the finished run of config/embedded.yaml.

    .venv/bin/python benchmarks/embedded.py

Five rounds over 200 samples of word-problems with the trained model; loading is not counted.
`two processes` is what the workflow does on two cores: two jobs of one thread each.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from machine import save

RUN = Path(__file__).resolve().parents[1] / "results/embedded"
ROUNDS = 5


def rates(threads: int) -> list[float]:
    """Samples per second of each round in this process."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does
    import torch

    from caploc.attribution.engine import attribute
    from caploc.attribution.memory import use_huge_pages
    from caploc.files.store import read_table
    from caploc.models.loading import load_model
    from caploc.models.tokens import encode

    use_huge_pages()  # as the stages that score do
    torch.set_num_threads(threads)
    lm = load_model(RUN / "models/embedded/hf")
    table = read_table(RUN / "samples/word-problems/locate.parquet").to_pydict()
    pairs = [
        encode(lm.tokenizer, prompt, answer)
        for prompt, answer in zip(table["prompt"], table["answer"], strict=True)
    ]
    prompts, answers = [list(ids)[:200] for ids in zip(*pairs, strict=True)]
    attribute(lm, prompts[:32], answers[:32])  # warm up
    found = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        attribute(lm, prompts, answers)
        found.append(round(len(prompts) / (time.perf_counter() - start), 1))
    return found


def main() -> None:
    if len(sys.argv) > 1:
        sys.stdout.write(" ".join(map(str, rates(1))))
        return
    command = [sys.executable, __file__, "one"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    lines = [process.communicate()[0] for process in both]
    pairs = zip(*[map(float, line.split()) for line in lines], strict=True)
    together = [round(sum(pair), 1) for pair in pairs]
    alone = rates(2)
    path = save(
        "embedded",
        {
            "what": "word-problems of config/embedded.yaml; inclusive, S = 19, float32",
            "two_processes_samples_per_second_median": statistics.median(together),
            "two_processes_samples_per_second": together,
            "one_process_two_threads_samples_per_second_median": statistics.median(alone),
            "one_process_two_threads_samples_per_second": alone,
        },
    )
    sys.stdout.write(path.read_text())


if __name__ == "__main__":
    main()
