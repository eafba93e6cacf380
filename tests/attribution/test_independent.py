"""The scores of one layer against other people's and other kinds of computation.

captum integrates a plain function "neuron vector of one layer in, probability out"; finite
differences never use a gradient.
"""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients
from naive import probability_of
from tiny_models import ids, tiny_gptj, tiny_llama
from torch import Tensor

from caploc.attribution.engine import attribute
from caploc.models.language_model import LanguageModel

PROMPT, TOKEN = ids(7, seed=5), ids(1, seed=6)
LAYER = 1


@pytest.fixture(scope="module", params=[tiny_llama, tiny_gptj], ids=["llama", "gptj"])
def lm(request: pytest.FixtureRequest) -> LanguageModel:
    return request.param()


def module(lm: LanguageModel, site: str) -> Any:
    if site == "post":
        return lm.projections[LAYER]
    return lm.blocks[LAYER].get_submodule(lm.family.ffn_in[0])


def recorded(lm: LanguageModel, site: str) -> Tensor:
    return probability_of(lm.model, module(lm, site), PROMPT, TOKEN[0], site=site)[1]


def injected(lm: LanguageModel, site: str, w: Tensor) -> Tensor:
    """(n,) probability with each row of w (n, neuron) as the neurons of the layer."""
    values = [
        probability_of(lm.model, module(lm, site), PROMPT, TOKEN[0], lambda _, row=row: row, site)[
            0
        ]
        for row in w
    ]
    return torch.stack(values)


@pytest.mark.parametrize("site", ["post", "pre"])
@pytest.mark.parametrize(
    ("rule", "method"), [("right", "riemann_right"), ("gauss-legendre", "gausslegendre")]
)
def test_captum(lm: LanguageModel, rule: str, method: str, site: str) -> None:
    (ours,) = attribute(lm, [PROMPT], [TOKEN], rule=rule, steps=5, site=site)
    w = recorded(lm, site)[None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = IntegratedGradients(lambda x: injected(lm, site, x)).attribute(
            w, baselines=torch.zeros_like(w), method=method, n_steps=5
        )
    np.testing.assert_allclose(ours.scores[LAYER], theirs[0].numpy(), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("site", ["post", "pre"])
def test_finite_differences(lm: LanguageModel, site: str) -> None:
    # One step at the recorded value: score = w * dP/dw there.
    (ours,) = attribute(lm, [PROMPT], [TOKEN], rule="right", steps=1, site=site)
    w, h = recorded(lm, site), 1e-5
    steps = h * torch.eye(len(w), dtype=w.dtype)
    with torch.no_grad():
        slope = (injected(lm, site, w + steps) - injected(lm, site, w - steps)) / (2 * h)
    np.testing.assert_allclose(ours.scores[LAYER], (w * slope).numpy(), rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize("site", ["post", "pre"])
def test_points_add_up_to_the_effect_of_the_layer(lm: LanguageModel, site: str) -> None:
    (ours,) = attribute(lm, [PROMPT], [TOKEN], rule="gauss-legendre", steps=64, site=site)
    w = recorded(lm, site)
    with torch.no_grad():
        full, zeroed = injected(lm, site, torch.stack([w, torch.zeros_like(w)]))
    assert ours.probability[0] == pytest.approx(full.item(), rel=1e-9)
    assert ours.probability_zeroed[LAYER, 0] == pytest.approx(zeroed.item(), rel=1e-9)
    assert ours.scores[LAYER].sum() == pytest.approx((full - zeroed).item(), abs=1e-7)
