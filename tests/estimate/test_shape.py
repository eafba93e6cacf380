"""Sizes by formula against models that are there."""

import pytest
import torch
from tiny_architectures import DECLARED, tiny_architecture
from transformers import AutoModelForCausalLM, GPTJConfig, LlamaConfig

from caploc.attribution.rules import path_rule
from caploc.estimate.shape import UNGATED, DecoderShape
from caploc.models.language_model import wrap_model

# One architecture of every family.
FIRST = {family: architecture for architecture, family in DECLARED.items()}


@pytest.mark.parametrize("tied", [False, True])
def test_parameters_of_a_llama(tied):
    shape = DecoderShape(3, 32, 80, 4, 2, 500, tied=tied)
    config = LlamaConfig(
        num_hidden_layers=3, hidden_size=32, intermediate_size=80, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=500, tie_word_embeddings=tied,
    )  # fmt: skip
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    norms = 32 * (2 * 3 + 1)
    assert shape.parameters + norms == sum(p.numel() for p in model.parameters())


def test_parameters_of_a_gptj():
    shape = DecoderShape(2, 32, 128, 4, 4, 500, gated=False)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(
            GPTJConfig(n_layer=2, n_embd=32, n_head=4, rotary_dim=4, vocab_size=500)
        )
    found = sum(p.numel() for name, p in model.named_parameters() if p.dim() > 1)
    assert shape.parameters == found


def test_published_sizes():
    """Weights in thousand millions as the models are called."""
    llama = DecoderShape(32, 4096, 11008, 32, 32, 32000)
    assert llama.parameters / 1e9 == pytest.approx(6.74, abs=0.01)
    smol = DecoderShape(30, 576, 1536, 9, 3, 49152, tied=True)
    assert smol.parameters == pytest.approx(134_515_008, rel=1e-3)


@pytest.mark.parametrize("family", sorted(FIRST))
def test_families_with_and_without_a_gate(family):
    lm = wrap_model(tiny_architecture(FIRST[family]))
    if lm.family.experts:
        pytest.skip("experts are fused")
    rows = sum(
        max(lm.blocks[0].get_submodule(path).weight.shape)
        if len(lm.family.ffn_in) == 1
        else lm.n_neurons
        for path in lm.family.ffn_in
    )
    assert (rows == lm.n_neurons) == (lm.family.name in UNGATED)


def test_attribution_against_a_sum_over_rows():
    """Slow and obvious: one row for each (token, layer, point), through the blocks above it."""
    shape = DecoderShape(5, 16, 24, 4, 2, 37)
    rule = path_rule("inclusive", 7)
    below = len(rule.scaled[0])
    total = shape.forward(11 + 3 - 1)
    for _token in range(3):
        for layer in range(5):
            total += 4 * shape.hidden * shape.ffn
            for _point in range(below):
                total += 4 * (4 - layer) * shape.block + 4 * shape.head
        total += 4 * 4 * shape.block + 4 * shape.head  # the point 1, which all layers share
    one = rule.weight_of_one is not None
    assert shape.attribution(11, 3, 3, (below, below), one) == total
    # Two more points of layer 0, for each of three tokens.
    more = 3 * 2 * (4 * 4 * shape.block + 4 * shape.head)
    assert shape.attribution(11, 3, 3, (below + 2, below), one) == total + more
