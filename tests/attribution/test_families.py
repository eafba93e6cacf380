"""Every decoder family against the definition, in float64.

Samples of unequal length in one batch, one and several answer tokens, longer than the windows.
"""

from typing import Any

import numpy as np
import pytest
import torch
from naive import naive_scores
from test_engine import check
from tiny_families import FAMILIES, softmax_in_float64
from tiny_models import ids

from caploc.attribution.engine import attribute
from caploc.attribution.injection import SITES
from caploc.attribution.rules import path_rule
from caploc.models._language_model import LanguageModel

RULE, STEPS = "inclusive", 2
SHAPES = [(9, 2), (3, 1), (1, 2)]
PROMPTS = [ids(x, seed=i) for i, (x, _) in enumerate(SHAPES)]
ANSWERS = [ids(y, seed=50 + i) for i, (_, y) in enumerate(SHAPES)]


def state(lm: LanguageModel) -> tuple[Any, ...]:
    modules = [
        (len(m._forward_hooks), len(m._forward_pre_hooks), sorted(m.__dict__))
        for m in lm.model.modules()
    ]
    return modules, lm.model.config.to_dict(), lm.model.config._attn_implementation


def modules(lm: LanguageModel, site: str) -> list[Any]:
    name = lm.family.ffn_out if site == "post" else lm.family.ffn_in[0]
    return [block.get_submodule(name) for block in lm.blocks]


@pytest.mark.parametrize("name", FAMILIES)
def test_equals_the_definition(name: str) -> None:
    lm = FAMILIES[name]()
    path = path_rule(RULE, STEPS)
    points, weights = path.points.tolist(), path.weights.tolist()
    text = torch.tensor([PROMPTS[0] + ANSWERS[0]])
    with softmax_in_float64():
        for site in SITES:
            logits, before = lm.model(text).logits, state(lm)
            found = attribute(lm, PROMPTS, ANSWERS, rule=RULE, steps=STEPS, site=site)
            # Bit for bit the model it was.
            torch.testing.assert_close(lm.model(text).logits, logits, rtol=0, atol=0)
            assert state(lm) == before
            for prompt, answer, ours in zip(PROMPTS, ANSWERS, found, strict=True):
                expected = naive_scores(
                    lm.model, modules(lm, site), prompt, answer, points, weights, site, lm.n_neurons
                )
                assert np.abs(ours.scores).max() > 1e-5
                check(ours, expected, 1e-9)
