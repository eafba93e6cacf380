"""What decoys do to the output, by plain passes in float64."""

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from caploc.experiments.known_answer._decoys import write_decoys
from caploc.experiments.known_answer._layout import lay_out
from caploc.experiments.known_answer.settings import Plant

PLANT = Plant(("sums",), share=0.1, decoys=0.1)


def tiny():
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=8, intermediate_size=40, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, vocab_size=11, max_position_embeddings=16, initializer_range=0.5,
    )  # fmt: skip
    return LlamaForCausalLM(config).double().eval()


@pytest.fixture
def case():
    model, layout = tiny(), lay_out(2, 40, PLANT, 0)
    sizes = np.random.default_rng(0).random((2, 40))
    with torch.no_grad():
        for layer, block in enumerate(model.model.layers):
            block.mlp.down_proj.weight[:, layout.of("loud", "cancelling", "negative")[layer]] = 0
    return model, layout, sizes


def neurons_and_logits(model, without=None):
    """(layer, position, neuron) activations and logits, some columns zeroed by hand."""
    ids = torch.arange(9)[None]
    seen, saved = [], []
    with torch.no_grad():
        for layer, block in enumerate(model.model.layers):
            weight = block.mlp.down_proj.weight
            saved.append(weight.clone())
            if without is not None:
                weight[:, torch.from_numpy(without[layer])] = 0
            block.mlp.down_proj.register_forward_pre_hook(lambda m, a: seen.append(a[0][0]))
        logits = model(ids).logits[0]
        for block, weight in zip(model.model.layers, saved, strict=True):
            block.mlp.down_proj.weight.copy_(weight)
            block.mlp.down_proj._forward_pre_hooks.clear()
    return torch.stack(seen).numpy(), logits.numpy()


def test_loud_and_cancelling_neurons_are_loud_and_change_nothing(case):
    model, layout, sizes = case
    _, before = neurons_and_logits(model)
    write_decoys(model, layout, sizes)
    against = layout.of("negative")
    seen, after = neurons_and_logits(model, against)
    assert np.abs(after - before).max() < 2e-3 * np.abs(before).max()
    _, exactly = neurons_and_logits(model, against | layout.of("loud"))
    assert np.abs(exactly - before).max() < 1e-12
    loudness = np.abs(seen).mean(axis=1)
    for layer in range(2):
        others = loudness[layer][layout.of("rest", "planted", "shared")[layer]]
        # Four times one of the neurons that the sizes call largest.
        reserved = layout.of("loud", "cancelling", "negative")[layer]
        largest = [j for j in np.argsort(-sizes[layer], kind="stable") if not reserved[j]]
        loud = np.flatnonzero(layout.of("loud")[layer])
        assert loudness[layer][loud] == pytest.approx(
            4 * loudness[layer][largest[: len(loud)]], rel=1e-9
        )
        assert len(others) == 40 - reserved.sum()


def test_one_of_a_cancelling_pair_alone_matters(case):
    model, layout, sizes = case
    write_decoys(model, layout, sizes)
    _, before = neurons_and_logits(model)
    single = np.zeros((2, 40), dtype=bool)
    single[0, np.flatnonzero(layout.of("cancelling")[0])[0]] = True
    assert np.abs(neurons_and_logits(model, single)[1] - before).max() > 1e-3


def test_negative_neurons_take_a_quarter_of_a_planted_one_back(case):
    model, layout, sizes = case
    write_decoys(model, layout, sizes)
    for layer, block in enumerate(model.model.layers):
        mlp = block.mlp
        planted = np.flatnonzero(layout.of("planted")[layer])
        for j in np.flatnonzero(layout.of("negative")[layer]):
            (source,) = [
                p for p in planted if torch.equal(mlp.gate_proj.weight[p], mlp.gate_proj.weight[j])
            ]
            column = mlp.down_proj.weight
            assert torch.equal(column[:, j], -0.25 * column[:, source])
            assert torch.equal(mlp.up_proj.weight[j], mlp.up_proj.weight[source])
