"""Silenced heads in one pass with silenced neurons, against whole plain passes with one hook each.

Llama has four heads over two key/value heads here: a head is what its query reads out, alone.
"""

import numpy as np
import pytest
import torch
from test_likelihood import ANSWERS, PROMPTS, scored
from tiny_families import FAMILIES, softmax_in_float64
from tiny_models import tiny_gptj, tiny_llama

from caploc.forward.silencing import Erasure

HEADS = 4
MODELS = {"llama, grouped": tiny_llama, "gptj": tiny_gptj} | {
    name: FAMILIES[name]
    for name in (
        "gpt2", "opt", "phi3", "falcon, multi-query", "gpt_neox", "gemma2", "gemma3", "olmoe",
    )
    if name in FAMILIES
}  # fmt: skip


def erasures(lm):
    """Single heads of every layer, heads with neurons before, beside and behind them, none."""
    rng = np.random.default_rng(0)
    found = [Erasure(np.zeros((lm.n_layers, lm.n_neurons), bool))]
    n_heads = lm.model.config.num_attention_heads
    for k in range(3 * lm.n_layers):
        neurons = np.zeros((lm.n_layers, lm.n_neurons), bool)
        heads = np.zeros((lm.n_layers, n_heads), bool)
        heads[k % lm.n_layers, k % n_heads] = True
        if k >= lm.n_layers:
            heads |= rng.random(heads.shape) < 0.3
            neurons[rng.integers(lm.n_layers) :] = rng.random(lm.n_neurons) < 0.3
        found.append(Erasure(neurons, heads=heads))
    # neurons alone stand between them
    found.insert(2, Erasure(neurons))
    return found


def plain(lm, prompt, answer, erasure):
    """Log-probability of the answer from one ordinary pass."""
    handles = []
    for layer, block in enumerate(lm.blocks):

        def silence_neurons(module, args, layer=layer):
            x = args[0].clone()
            x.view(-1, x.shape[-1])[:, erasure.neurons[layer].nonzero()[0]] = 0
            return (x,)

        def silence_heads(module, args, layer=layer):
            x = args[0].clone()
            n_heads = lm.model.config.num_attention_heads
            width = x.shape[-1] // n_heads
            for head in range(n_heads):
                if erasure.heads is not None and erasure.heads[layer, head]:
                    x[..., head * width : (head + 1) * width] = 0
            return (x,)

        handles.append(lm.projections[layer].register_forward_pre_hook(silence_neurons))
        out = block.get_submodule(lm.family.attention_out)
        handles.append(out.register_forward_pre_hook(silence_heads))
    with torch.no_grad():
        logits = lm.model(input_ids=torch.tensor([prompt + answer[:-1]])).logits[0]
    for handle in handles:
        handle.remove()
    logarithm = torch.log_softmax(logits[len(prompt) - 1 :], -1)
    return logarithm[torch.arange(len(answer)), answer].sum().item()


@pytest.mark.parametrize("name", MODELS)
def test_equals_one_by_one(name):
    lm = MODELS[name]()
    found = erasures(lm)
    with softmax_in_float64():
        logprob, _ = scored(lm, found, batch_tokens=90)
        for i, erasure in enumerate(found):
            for k, (prompt, answer) in enumerate(zip(PROMPTS, ANSWERS, strict=True)):
                wanted = plain(lm, prompt, answer, erasure)
                assert logprob[i, k] == pytest.approx(wanted, abs=1e-8)
    assert len(np.unique(logprob[:, 0].round(6))) == len(found)


def test_bad_heads():
    lm = tiny_llama()
    neurons = np.zeros((lm.n_layers, lm.n_neurons), bool)
    for heads, positions, words in (
        (np.ones((lm.n_layers, HEADS + 1), bool), "all", "has heads"),
        (np.ones((lm.n_layers, HEADS), bool), "answer", "at all positions"),
    ):
        with pytest.raises(ValueError, match=words):
            scored(lm, [Erasure(neurons, positions, heads=heads)])
