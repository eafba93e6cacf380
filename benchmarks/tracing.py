"""Operations and time of causal tracing against the published procedure.

    .venv/bin/python benchmarks/tracing.py

The procedure runs, for each of three kinds, the whole model on 11 rows (1 clean, 10 noisy) for each
cell (token, layer) and twice more. All its runs cost the same, so one is counted and timed. Random
weights, float32, one thread, eager attention (so that its products are counted too).
"""

import statistics
import sys
import time

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from attribution_counts import Counter
from caploc.forward.subject import Tokens
from caploc.locators._restoration import restore_cells
from caploc.models.language_model import LanguageModel, wrap_model
from machine import save

TOKENS, LAYERS, SUBJECT, NOISE, WINDOW, ROUNDS = 32, 16, 3, 10, 10, 3
VOCAB = 2000


def build() -> LanguageModel:
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=128, intermediate_size=344, num_hidden_layers=LAYERS, num_attention_heads=4,
        num_key_value_heads=4, vocab_size=VOCAB, max_position_embeddings=64,
    )  # fmt: skip
    return wrap_model(LlamaForCausalLM._from_config(config, attn_implementation="eager"))


def operations(run) -> int:
    with Counter() as counter, torch.no_grad():
        run()
    return counter.total


def seconds(run) -> float:
    start = time.perf_counter()
    with torch.no_grad():
        run()
    return time.perf_counter() - start


def main() -> None:
    torch.set_num_threads(1)
    lm = build()
    ids = torch.arange(TOKENS) % VOCAB
    runs = 3 * (TOKENS * LAYERS + 2)
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=(NOISE, SUBJECT, 128)))

    def one_run() -> None:
        rows = ids.expand(NOISE + 1, -1)
        lm.model(input_ids=rows, use_cache=False, logits_to_keep=1)

    found = {}
    for first in (0, 8):
        tokens = Tokens(ids.tolist(), [1], first, first + SUBJECT - 1)

        def ours(tokens: Tokens = tokens) -> None:
            restore_cells(lm, tokens, noise, window=WINDOW, batch_tokens=16384)

        one_run()
        rounds = [
            (statistics.mean(seconds(one_run) for _ in range(20)), seconds(ours))
            for _ in range(ROUNDS)
        ]
        counted = operations(ours), runs * operations(one_run)
        found[f"subject at token {first}"] = {
            "operations_ours": counted[0],
            "operations_procedure": counted[1],
            "share_of_operations": round(counted[0] / counted[1], 4),
            "seconds_ours": [round(r[1], 3) for r in rounds],
            "seconds_procedure_from_one_run": [round(runs * r[0], 2) for r in rounds],
            "share_of_time_median": round(
                statistics.median(r[1] / (runs * r[0]) for r in rounds), 4
            ),
        }
    path = save(
        "tracing",
        {
            "what": "tracing of one fact: residual, FFN and attention, all tokens and layers",
            "settings": {
                "tokens": TOKENS, "layers": LAYERS, "subject_tokens": SUBJECT, "window": WINDOW,
                "noise_samples": NOISE, "runs_of_the_procedure": runs, "hidden": 128,
            },
            **found,
        },
    )  # fmt: skip
    sys.stdout.write(path.read_text())


if __name__ == "__main__":
    main()
