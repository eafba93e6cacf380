"""Baselines against loops over tokens, and against finite differences for the gradients."""

import numpy as np
import pytest
import torch

from caploc.locators import activation_size, gradient_activation, task_neurons
from caploc.models.loading import load_model
from caploc.models.tokens import encode
from caploc.records import Dropped, Sample

SAMPLES = [Sample("0", "a b =", " one two"), Sample("1", "c", " "), Sample("2", "d e f g", " four"),
           Sample("3", "h i", " three + a")]  # fmt: skip
STEP = 1e-3  # the norms compute in float32


@pytest.fixture
def model(save_model):
    return load_model(save_model(), dtype="float64")


def run(lm, sample, moved=None):
    """Neurons per layer, slots, log-probabilities; `moved` = (layer, position, neuron, step)."""
    prompt, answer = encode(lm.tokenizer, sample.prompt, sample.answer)
    seen = []

    def hook(layer):
        def act(module, args):
            x = args[0].clone()
            if moved is not None and moved[0] == layer:
                x[0, moved[1], moved[2]] += moved[3]
            seen.append(x[0])
            return (x,)

        return act

    handles = [p.register_forward_pre_hook(hook(k)) for k, p in enumerate(lm.projections)]
    with torch.no_grad():
        logits = lm.model(input_ids=torch.tensor([prompt + answer[:-1]])).logits[0]
    for handle in handles:
        handle.remove()
    slots = [len(prompt) - 1 + m for m in range(len(answer))]
    told = torch.log_softmax(logits, -1)
    return seen, slots, [told[s, y].item() for s, y in zip(slots, answer, strict=True)]


def test_activation_size(model):
    found = activation_size.locate(model, SAMPLES)
    assert isinstance(found[1], Dropped)
    for i in (0, 2, 3):
        neurons, slots, _ = run(model, SAMPLES[i])
        for layer, projection in enumerate(model.projections):
            for j in (0, 7, 23):
                column = sum(projection.weight[:, j] ** 2).sqrt().item()
                mean = np.mean([abs(neurons[layer][s, j].item()) for s in slots])
                assert found[i].scores[layer, j] == pytest.approx(mean * column, rel=1e-9)


@pytest.mark.parametrize("name", ["gradient", "task"])
def test_gradients(model, name):
    locator = gradient_activation if name == "gradient" else task_neurons
    found = locator.locate(model, SAMPLES)
    assert isinstance(found[1], Dropped)

    def value(logprobs):
        return sum(np.exp(logprobs)) if name == "gradient" else -np.mean(logprobs)

    for i, layer, j in ((0, 0, 3), (2, 1, 5), (3, 2, 11), (3, 0, 20)):
        neurons, slots, _ = run(model, SAMPLES[i])
        n_read = len(neurons[0])
        places = slots if name == "gradient" else range(n_read)
        parts = []
        for place in places:
            ends = [value(run(model, SAMPLES[i], (layer, place, j, s))[2]) for s in (STEP, -STEP)]
            parts.append(neurons[layer][place, j].item() * (ends[0] - ends[1]) / (2 * STEP))
        wanted = np.mean(parts) if name == "gradient" else np.mean(np.abs(parts))
        assert found[i].scores[layer, j] == pytest.approx(wanted, rel=5e-3, abs=1e-6)
