"""Neurons scaled alone, against whole forward passes in which one number is changed."""

from typing import Any

import numpy as np
import pytest
import torch
from naive import probability_of
from test_public import in_use, state
from tiny_models import ids, tiny_gptj, tiny_llama, tiny_olmo2

from caploc import attribute, attribute_neurons
from caploc.attribution.rules import path_rule
from caploc.models.language_model import LanguageModel

PROMPT, ANSWER, STEPS = ids(5, seed=1), ids(3, seed=2), 3


def naive(lm: LanguageModel, layer: int, j: int, rule: str, site: str) -> tuple[float, list[float]]:
    """Score of one neuron, and P with it at 0: a forward pass for every point and token."""
    path = path_rule(rule, STEPS)
    module: Any = lm.projections[layer]
    if site == "pre":
        module = lm.blocks[layer].get_submodule(lm.family.ffn_in[0])
    total, zeroed = 0.0, []
    for m, token in enumerate(ANSWER):
        z = PROMPT + ANSWER[:m]
        value = probability_of(lm.model, module, z, token, site=site)[1][j]

        def p(c: Any, z: list[int] = z, token: int = token, value: Any = value) -> torch.Tensor:
            def change(w: torch.Tensor) -> torch.Tensor:
                return torch.cat([w[:j], (c * value)[None], w[j + 1 :]])

            return probability_of(lm.model, module, z, token, change, site)[0]

        for point, weight in zip(path.points.tolist(), path.weights.tolist(), strict=True):
            c = torch.tensor(point, dtype=torch.float64, requires_grad=True)
            total += weight * torch.autograd.grad(p(c), c)[0].item()
        zeroed.append(p(torch.tensor(0.0, dtype=torch.float64)).item())
    return total / len(ANSWER), zeroed


@pytest.mark.parametrize("site", ["post", "pre"])
@pytest.mark.parametrize("make", [tiny_llama, tiny_gptj, tiny_olmo2])
def test_against_whole_forward_passes(make: Any, site: str) -> None:
    lm = make()
    chosen = [(2, 3), (0, 7), (1, 0), (0, 1), (2, 23)]
    found = attribute_neurons(lm, PROMPT, ANSWER, chosen, steps=STEPS, site=site)
    assert found.neurons.tolist() == [list(pair) for pair in chosen]
    largest = 0.0
    for i, (layer, j) in enumerate(chosen):
        score, zeroed = naive(lm, layer, j, "inclusive", site)
        largest = max(largest, abs(score))
        assert found.scores[i] == pytest.approx(score, rel=1e-8, abs=1e-13)
        np.testing.assert_allclose(found.probability_zeroed[i], zeroed, rtol=1e-9)
    assert largest > 1e-5


@pytest.mark.parametrize("batch_rows", [1, 7, 40, 100_000])
def test_all_neurons_in_any_chunks(batch_rows: int) -> None:
    lm = tiny_llama()
    found = attribute_neurons(
        lm, PROMPT, ANSWER, rule="midpoint", steps=STEPS, batch_rows=batch_rows
    )
    assert len(found.scores) == 4 * 24
    for i in (0, 30, 95):
        layer, j = found.neurons[i]
        expected = naive(lm, int(layer), int(j), "midpoint", "post")[0]
        assert found.scores[i] == pytest.approx(expected, rel=1e-8, abs=1e-13)


def test_a_fine_rule_gives_the_effect_of_the_neuron() -> None:
    found = attribute_neurons(
        tiny_llama(), PROMPT, ANSWER, [(0, 1), (3, 2)], rule="gauss-legendre", steps=24
    )
    effect = (found.probability - found.probability_zeroed).mean(1)
    np.testing.assert_allclose(found.scores, effect, atol=1e-8)
    assert np.abs(effect).max() > 1e-5


def test_one_step_of_the_right_rule_is_that_of_the_layer() -> None:
    """At c = 1 nothing is scaled, so it makes no difference what would be."""
    lm = tiny_llama()
    alone = attribute_neurons(lm, PROMPT, ANSWER, rule="right", steps=1)
    jointly = attribute(lm, PROMPT, ANSWER, rule="right", steps=1)
    np.testing.assert_allclose(alone.scores.reshape(4, 24), jointly.scores, rtol=1e-9, atol=1e-15)


def test_no_neurons_and_unknown_neurons() -> None:
    model = in_use(tiny_llama)
    before = state(model)
    assert attribute_neurons(model, PROMPT, ANSWER, []).scores.shape == (0,)
    with pytest.raises(ValueError, match=r"no neuron \(4, 0\); the model has 4 layers of 24"):
        attribute_neurons(model, PROMPT, ANSWER, [(0, 0), (4, 0)])
    with pytest.raises(ValueError, match="expected one sample"):
        attribute_neurons(model, [PROMPT], [ANSWER])
    assert state(model) == before
