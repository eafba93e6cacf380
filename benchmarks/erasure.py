"""Many silenced models in one pass, and generated answers, on the demo's model.

    python benchmarks/erasure.py

needs the model, samples, masks and weights of the run of config/embedded.yaml

    snakemake results/embedded/erasure/embedded/word-problems/cnl/sets.parquet --cores 2 \
      --configfile config/embedded.yaml

and writes benchmarks/results/erasure.json. Every ratio is a median over rounds in which the ways
that are compared take turns.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does

import numpy as np
import torch
from transformers import GenerationConfig

from caploc.experiments.erasure.weigh_neurons import read_weights
from caploc.files.masks import read_mask
from caploc.forward.generation import complete
from caploc.forward.likelihood import answer_likelihood
from caploc.forward.processor import use_processor
from caploc.forward.samples import samples_of
from caploc.forward.silencing import Erasure, Erasures, erased
from caploc.measures.random_sets import draw
from caploc.models.loading import load_model
from caploc.models.tokens import encode
from machine import save

RUN = Path("results/embedded")
TASK = "word-problems"
MASKS, SAMPLES, PROMPTS, ROUNDS = 16, 16, 64, 15


def compared(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Processor seconds of each way in each round; all take turns, after one round to warm up."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for k in range(rounds + 1):
        for name, way in ways.items():
            start = time.process_time()
            way()
            if k:
                found[name].append(time.process_time() - start)
    return found


def ratio(seconds: dict[str, list[float]], a: str, b: str) -> float:
    """Median over rounds of a / b."""
    pairs = zip(seconds[a], seconds[b], strict=True)
    return round(statistics.median(x / y for x, y in pairs), 3)


def median(seconds: dict[str, list[float]]) -> dict[str, float]:
    """Median seconds of each way."""
    return {name: round(statistics.median(values), 4) for name, values in seconds.items()}


def likelihoods(lm: Any, sets: list[np.ndarray], samples: list[Any]) -> dict[str, Any]:
    """16 sets x 16 samples: together, one set 16 times, one after another, and by plain passes."""
    pairs = [encode(lm.tokenizer, s.prompt, s.answer) for s in samples]
    prompts, answers = [list(p) for p, _ in pairs], [list(a) for _, a in pairs]
    mixed, one = [Erasure(m) for m in sets], [Erasure(sets[0])] * len(sets)

    def score(erasures: list[Erasure]) -> None:
        list(answer_likelihood(lm, prompts, answers, erasures, batch_tokens=2048))

    # Padded on the right once, as a plain loop over sets would do.
    width = max(len(p) + len(a) - 1 for p, a in pairs)
    rows = [[*p, *a[:-1]] for p, a in pairs]
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    slots = [
        (k, len(p) - 1 + m, y) for k, (p, a) in enumerate(pairs) for m, y in enumerate(a)
    ]  # fmt: skip
    k, position, target = (torch.tensor(column) for column in zip(*slots, strict=True))

    @torch.no_grad()
    def plain() -> None:
        for erasure in mixed:
            which = torch.zeros(len(ids), dtype=torch.long)
            with erased(lm, Erasures(lm, [erasure]), which):
                hidden = lm.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
                logits = lm.model.lm_head(hidden[k, position])
                torch.log_softmax(logits, -1).gather(-1, target[:, None])

    seconds = compared(
        {
            "together": lambda: score(mixed),
            "one set in all rows": lambda: score(one),
            "one after another": lambda: [score([e]) for e in mixed],
            "one after another, plain passes of 16 rows": plain,
        },
        ROUNDS,
    )
    return {
        "seconds": median(seconds),
        "mixed_over_one_mask": ratio(seconds, "together", "one set in all rows"),
        "together_over_one_after_another": ratio(seconds, "together", "one after another"),
        "together_over_plain_passes": ratio(
            seconds, "together", "one after another, plain passes of 16 rows"
        ),
    }


def generation(lm: Any, sets: list[np.ndarray], samples: list[Any], batch: int) -> dict[str, Any]:
    """Answers of one batch size: `complete`, transformers' own generate, and silenced models."""
    prompts, gold = [s.prompt for s in samples], [s.answer for s in samples]
    tokenizer = lm.tokenizer
    tokenizer.padding_side = "left"
    # The same batches and limits as `complete` makes.
    length = [len(tokenizer(p)["input_ids"]) for p in prompts]
    n_gold = [len(tokenizer(a, add_special_tokens=False)["input_ids"]) for a in gold]
    order = sorted(range(len(prompts)), key=lambda i: (length[i], i))
    batches = [order[i : i + batch] for i in range(0, len(order), batch)]
    limits = [int(max(n_gold[i] for i in chosen) * 1.5) + 8 for chosen in batches]

    @torch.no_grad()
    def own() -> list[str]:
        found = [""] * len(prompts)
        for chosen, limit in zip(batches, limits, strict=True):
            inputs = tokenizer([prompts[i] for i in chosen], padding=True, return_tensors="pt")
            inputs.pop("token_type_ids", None)
            settings = GenerationConfig(
                max_new_tokens=limit, do_sample=False, pad_token_id=tokenizer.pad_token_id,
                eos_token_id=tokenizer.eos_token_id,
            )  # fmt: skip
            new = lm.model.generate(**inputs, generation_config=settings)
            texts = tokenizer.batch_decode(
                new[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
            )
            for i, text in zip(chosen, texts, strict=True):
                found[i] = text
        return found

    def ours(masks: list[np.ndarray] | None = None) -> list[str]:
        found = [""] * len(prompts)
        erasures = None if masks is None else Erasures(lm, [Erasure(m) for m in masks])
        which = None if masks is None else [i % len(masks) for i in range(len(prompts))]
        for i, text in complete(lm, prompts, gold, batch, erasures, which):
            found[i] = text
        return found

    equal = sum(a.strip() == b.strip() for a, b in zip(own(), ours(), strict=True))
    seconds = compared(
        {
            "complete": ours,
            "generate": own,
            "complete, one set silenced": lambda: ours(sets[:1]),
            "complete, 16 sets silenced": lambda: ours(sets),
        },
        7,
    )
    return {
        "prompts": len(prompts), "batch": batch, "equal_completions": equal,
        "seconds": median(seconds),
        "rate_over_generate": ratio(seconds, "generate", "complete"),
        "mixed_over_one_mask": ratio(
            seconds, "complete, 16 sets silenced", "complete, one set silenced"
        ),
    }  # fmt: skip


def main() -> None:
    use_processor(1)
    lm = load_model(RUN / "models/embedded/hf")
    located = read_mask(RUN / f"masks/embedded/{TASK}/cnl/s6.parquet")
    sizes = read_weights(RUN / "weights/embedded.parquet", TASK)["activation-size"]
    sets = [draw(located, "matched", k, sizes) for k in range(MASKS)]
    samples = samples_of(RUN / f"samples/{TASK}/test.parquet", PROMPTS)
    path = save(
        "erasure",
        {
            "model": f"embedded: {lm.n_layers} layers of {lm.n_neurons} neurons, float32",
            "task": TASK,
            "sets": f"{MASKS} matched random sets of {int(located.sum())} neurons",
            "threads": 1,
            "seconds": "of the processor, which other work on the machine hardly changes",
            "likelihood_16_samples": likelihoods(lm, sets, samples[:SAMPLES]),
            "generation": [generation(lm, sets, samples, batch) for batch in (16, 64)],
        },
    )
    sys.stdout.write(path.read_text())


if __name__ == "__main__":
    main()
