"""Silenced neurons in families that lay out their FFN otherwise, against whole plain passes."""

import numpy as np
import pytest
import torch
from test_likelihood import ANSWERS, PROMPTS, erasures, scored
from tiny_families import FAMILIES

NAMES = ["gpt2", "opt", "phi3", "mistral", "falcon, multi-query", "gemma2", "olmo2", "olmoe"]


def plain(lm, prompt, answer, erasure):
    """Log-probability of the answer from one ordinary pass with the neurons replaced."""
    start = 0 if erasure.positions == "all" else len(prompt) - 1
    handles = []
    for layer, projection in enumerate(lm.projections):

        def hook(module, args, layer=layer):
            x = args[0].clone()
            rows = x.view(-1, x.shape[-1])
            for j in np.flatnonzero(erasure.neurons[layer]):
                rows[start:, j] = 0.0 if erasure.fill is None else erasure.fill[layer, j]
            return (x,)

        handles.append(projection.register_forward_pre_hook(hook))
    with torch.no_grad():
        logits = lm.model(input_ids=torch.tensor([prompt + answer[:-1]])).logits[0]
    for handle in handles:
        handle.remove()
    logarithm = torch.log_softmax(logits[len(prompt) - 1 :], -1)
    return logarithm[torch.arange(len(answer)), answer].sum().item()


@pytest.mark.parametrize("name", NAMES)
def test_equals_one_by_one(name):
    lm = FAMILIES[name]()
    found = erasures(lm, 7)
    logprob, _ = scored(lm, found)
    for i, erasure in enumerate(found):
        for k, (prompt, answer) in enumerate(zip(PROMPTS, ANSWERS, strict=True)):
            wanted = plain(lm, prompt, answer, erasure)
            # Gemma 2 rounds its attention weights to float32.
            assert logprob[i, k] == pytest.approx(wanted, abs=1e-6 if name == "gemma2" else 1e-10)
    assert len(np.unique(logprob[:, 0].round(6))) == len(found)
