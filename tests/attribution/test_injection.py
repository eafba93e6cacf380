"""Both sites and both ways to change neurons, against the definition in float64."""

from typing import Any

import numpy as np
import pytest
import torch
from naive import naive_scores
from test_engine import ANSWERS, PROMPTS, check, worst
from tiny_models import tiny_gptj, tiny_llama, tiny_olmo2
from torch import Tensor, nn

from caploc.attribution import engine, streams
from caploc.attribution.engine import attribute
from caploc.attribution.injection import pull_back
from caploc.attribution.rules import path_rule
from caploc.models.language_model import LanguageModel

MAKERS = {"llama": tiny_llama, "gptj": tiny_gptj, "olmo2": tiny_olmo2}


def modules(lm: LanguageModel, site: str) -> list[nn.Module]:
    name = lm.family.ffn_out if site == "post" else lm.family.ffn_in[0]
    return [block.get_submodule(name) for block in lm.blocks]


def compare(lm: LanguageModel, site: str, rule: str, n: int, budgets: tuple[int, ...]) -> None:
    """The first samples, once for each budget of rows."""
    path = path_rule(rule, 3)
    expected = [
        naive_scores(
            lm.model, modules(lm, site), PROMPTS[i], ANSWERS[i],
            path.points.tolist(), path.weights.tolist(), site,
        )
        for i in range(n)
    ]  # fmt: skip
    for rows in budgets:
        settings: dict[str, Any] = {"rule": rule, "steps": 3, "site": site, "batch_rows": rows}
        found = attribute(lm, PROMPTS[:n], ANSWERS[:n], **settings)
        for ours, theirs in zip(found, expected, strict=True):
            check(ours, theirs, 1e-9)


@pytest.mark.parametrize(
    ("family", "site"), [("llama", "pre"), ("gptj", "pre"), ("olmo2", "post"), ("olmo2", "pre")]
)
def test_generic_injection(family: str, site: str) -> None:
    compare(MAKERS[family](), site, "inclusive", 2, (9, 30, 10_000))


@pytest.mark.parametrize("rule", ["left", "midpoint"])
def test_without_the_point_at_one(rule: str) -> None:
    compare(tiny_olmo2(), "pre", rule, 1, (10_000,))


def test_generic_injection_equals_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny_llama()
    linear = attribute(lm, PROMPTS, ANSWERS, steps=3)
    monkeypatch.setattr(engine, "check_model", lambda lm, site: False)
    for a, b in zip(linear, attribute(lm, PROMPTS, ANSWERS, steps=3), strict=True):
        assert worst(a.scores, b.scores) < 1e-9


def test_linear_injection_would_be_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny_olmo2()
    right = attribute(lm, PROMPTS[:1], ANSWERS[:1], steps=3)[0].scores
    monkeypatch.setattr(engine, "check_model", lambda lm, site: True)
    wrong = attribute(lm, PROMPTS[:1], ANSWERS[:1], steps=3)[0].scores
    assert np.abs(wrong - right).max() > 0.1 * np.abs(right).max()


def test_comparison_catches_a_wrong_leaf(monkeypatch: pytest.MonkeyPatch) -> None:
    original = streams._leaf
    monkeypatch.setattr(streams, "_leaf", lambda *a: original(*a[:2], a[2] * 1.01, a[3]))
    with pytest.raises(AssertionError):
        compare(tiny_olmo2(), "post", "midpoint", 1, (10_000,))


def test_nothing_is_left_behind() -> None:
    lm = tiny_olmo2()
    ids = torch.tensor([PROMPTS[0]])
    before = lm.model(ids).logits
    attribute(lm, PROMPTS[:2], ANSWERS[:2], steps=2, site="pre")
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in lm.model.modules())
    torch.testing.assert_close(lm.model(ids).logits, before, rtol=0, atol=0)


class _Transposed(nn.Module):
    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight + 1


def test_pull_back_of_any_linear_map() -> None:
    linear: Any = nn.Linear(5, 3).double().requires_grad_(False)
    x, slope = torch.randn(2, 4, 5).double(), torch.randn(2, 4, 3).double()
    expected = torch.einsum("abw,wj->abj", slope, linear.weight)
    for module in (linear, _Transposed(linear.weight.T)):
        torch.testing.assert_close(pull_back(module, x, slope), expected)
