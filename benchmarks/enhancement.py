"""Time and memory of training located neurons alone, beside training the whole FFN.

    .venv/bin/python benchmarks/enhancement.py

Random Llama, 8 layers of 1,376 neurons, hidden 512, float32; batch 16 of 128 tokens, of which the
last 32 are the answer; 0.3 % of the neurons are chosen. One step of each kind in turn, so that
other work on the machine hits all alike. `ordinary`: the weights of the FFN as they are require
gradients, AdamW over them. Memory: tensors alive after
two steps that were not there before; `ordinary` counts the trained weights too.
"""

import gc
import statistics
import time

import numpy as np
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from caploc.experiments.enhancement._training import Recipe, Training
from caploc.interventions.slices import Slices
from caploc.models.language_model import LanguageModel, wrap_model
from machine import save

HIDDEN, LAYERS, FFN, VOCAB = 512, 8, 1376, 2000
BATCH, TOKENS, ANSWER, ROUNDS, SHARE = 16, 128, 32, 9, 0.003
BYTES = 16  # value, gradient and two moments of AdamW, float32


class Ordinary:
    """The projections of the FFN train as they are."""

    def __init__(self, lm: LanguageModel) -> None:
        paths = (*lm.family.ffn_in, lm.family.ffn_out)
        self.values: dict[str, nn.Parameter] = {
            f"{i}.{path}": block.get_submodule(path).weight
            for i, block in enumerate(lm.blocks)
            for path in paths
        }

    def training(self):
        return torch.enable_grad()

    def write(self) -> None:
        """The optimiser wrote already."""


def build() -> LanguageModel:
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=HIDDEN, intermediate_size=FFN, num_hidden_layers=LAYERS, vocab_size=VOCAB,
        num_attention_heads=8, num_key_value_heads=8, max_position_embeddings=TOKENS,
    )  # fmt: skip
    return wrap_model(LlamaForCausalLM(config))


def samples():
    rng = np.random.default_rng(0)
    rows = rng.integers(VOCAB, size=(BATCH, TOKENS)).tolist()
    return [(row[:-ANSWER], row[-ANSWER:]) for row in rows]


def alive() -> dict[int, int]:
    """Storages of all tensors by address: bytes."""
    gc.collect()
    found = {}
    for item in gc.get_objects():
        if issubclass(type(item), torch.Tensor):
            for tensor in (item, item.grad if item.is_leaf else None):
                if tensor is not None:
                    storage = tensor.untyped_storage()
                    found[storage.data_ptr()] = storage.nbytes()
    return found


def memory(make) -> dict:
    """Bytes for each trained value after two steps."""
    lm = build()
    before = alive()
    training, n_trained = start(lm, make(lm))
    training.step()
    training.step()
    extra = sum(size for place, size in alive().items() if place not in before)
    ordinary = sum(v.nbytes for v in training._trained.values.values())
    extra += ordinary if isinstance(training._trained, Ordinary) else 0
    return {
        "trained_values": n_trained,
        "bytes": extra,
        "bytes_per_value": round(extra / n_trained, 2),
        "of_16_bytes_a_value": round(extra / (BYTES * n_trained), 3),
    }


def start(lm: LanguageModel, trained):
    for parameter in lm.model.parameters():
        parameter.requires_grad_(False)
    for value in trained.values.values():
        value.requires_grad_(True)
    n_trained = sum(value.numel() for value in trained.values.values())
    return Training(lm, trained, samples(), Recipe(1e-3, BATCH, seed=0)), n_trained


def main() -> None:
    torch.set_num_threads(1)
    mask = np.zeros(LAYERS * FFN, dtype=bool)
    chosen = np.random.default_rng(1).permutation(mask.size)[: round(SHARE * mask.size)]
    mask[chosen] = True
    mask = mask.reshape(LAYERS, FFN)
    kinds = {
        "located": lambda lm: Slices(lm, mask),
        "rest": lambda lm: Slices(lm, ~mask),
        "ordinary": Ordinary,
    }
    held = {name: memory(make) for name, make in kinds.items()}
    trainings = {name: _on_its_own_model(make) for name, make in kinds.items()}
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    for round_ in range(ROUNDS + 1):
        for name, training in trainings.items():
            begin = time.perf_counter()
            training.step()
            if round_:  # the first one warms up
                seconds[name].append(time.perf_counter() - begin)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = [a / b for a, b in zip(seconds["located"], seconds["ordinary"], strict=True)]
    found = {
        "located_neurons": int(mask.sum()),
        "step_s": {name: round(value, 4) for name, value in median.items()},
        "located_of_ordinary": round(statistics.median(ratios), 3),
        "located_of_ordinary_range": [round(min(ratios), 3), round(max(ratios), 3)],
        "rounds": ROUNDS,
        "threads": 1,
        "memory": held,
    }
    print(save("enhancement", found), found)


def _on_its_own_model(make) -> Training:
    lm = build()
    training, _ = start(lm, make(lm))
    return training


if __name__ == "__main__":
    main()
