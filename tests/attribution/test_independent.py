"""The scores of one layer against other people's and other kinds of computation.

captum integrates a plain function "neuron vector of one layer in, probability out"; finite
differences never use a gradient.
"""

import warnings

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients
from naive import probability_of
from tiny_models import ids, tiny_gptj, tiny_llama
from torch import Tensor

from caploc.attribution.engine import attribute
from caploc.models._language_model import LanguageModel

PROMPT, TOKEN = ids(7, seed=5), ids(1, seed=6)
LAYER = 1


@pytest.fixture(scope="module", params=[tiny_llama, tiny_gptj], ids=["llama", "gptj"])
def lm(request: pytest.FixtureRequest) -> LanguageModel:
    return request.param()


def recorded(lm: LanguageModel) -> Tensor:
    return probability_of(lm.model, lm.projections[LAYER], PROMPT, TOKEN[0])[1]


def injected(lm: LanguageModel, w: Tensor) -> Tensor:
    """(n,) probability with each row of w (n, neuron) as the neurons of the layer."""
    values = [
        probability_of(lm.model, lm.projections[LAYER], PROMPT, TOKEN[0], lambda _, row=row: row)[0]
        for row in w
    ]
    return torch.stack(values)


@pytest.mark.parametrize(
    ("rule", "method"), [("right", "riemann_right"), ("gauss-legendre", "gausslegendre")]
)
def test_captum(lm: LanguageModel, rule: str, method: str) -> None:
    (ours,) = attribute(lm, [PROMPT], [TOKEN], rule=rule, steps=5)
    w = recorded(lm)[None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = IntegratedGradients(lambda x: injected(lm, x)).attribute(
            w, baselines=torch.zeros_like(w), method=method, n_steps=5
        )
    np.testing.assert_allclose(ours.scores[LAYER], theirs[0].numpy(), rtol=1e-6, atol=1e-12)


def test_finite_differences(lm: LanguageModel) -> None:
    # One step at the recorded value: score = w * dP/dw there.
    (ours,) = attribute(lm, [PROMPT], [TOKEN], rule="right", steps=1)
    w, h = recorded(lm), 1e-5
    steps = h * torch.eye(len(w), dtype=w.dtype)
    with torch.no_grad():
        slope = (injected(lm, w + steps) - injected(lm, w - steps)) / (2 * h)
    np.testing.assert_allclose(ours.scores[LAYER], (w * slope).numpy(), rtol=1e-5, atol=1e-10)


def test_points_add_up_to_the_effect_of_the_layer(lm: LanguageModel) -> None:
    (ours,) = attribute(lm, [PROMPT], [TOKEN], rule="gauss-legendre", steps=64)
    w = recorded(lm)
    with torch.no_grad():
        full, zeroed = injected(lm, torch.stack([w, torch.zeros_like(w)]))
    assert ours.probability[0] == pytest.approx(full.item(), rel=1e-9)
    assert ours.probability_zeroed[LAYER, 0] == pytest.approx(zeroed.item(), rel=1e-9)
    assert ours.scores[LAYER].sum() == pytest.approx((full - zeroed).item(), abs=1e-7)
