"""Fused head: value and gradient against autograd on the plain formula."""

import pytest
import torch
from torch import nn

from caploc.attribution import head
from caploc.attribution.head import answer_probability


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("softcap", [None, 1.5])
@pytest.mark.parametrize("rows_at_once", [1, 3, 1000])
@pytest.mark.parametrize("tile", [1, 4, 11, 50])
def test_equals_autograd(
    bias: bool, softcap: float | None, rows_at_once: int, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(6, 11, bias=bias).double().requires_grad_(False)
    # Logits that differ by hundreds, the largest in the middle: sums must be shrunk on the way.
    linear.weight[5] *= 200
    monkeypatch.setattr(head, "_LOGITS_CPU", rows_at_once * min(tile, 11))
    monkeypatch.setattr(head, "_TILE_CPU", tile)
    hidden = torch.randn(7, 6, dtype=torch.float64, requires_grad=True)
    target = torch.randint(0, 11, (7,))
    z = linear(hidden) if softcap is None else softcap * torch.tanh(linear(hidden) / softcap)
    logarithm = torch.log_softmax(z, -1)[torch.arange(7), target]
    (expected,) = torch.autograd.grad(logarithm.sum(), hidden)
    probability, gradient = answer_probability(linear, hidden.detach(), target, softcap)
    torch.testing.assert_close(probability, logarithm.exp().detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("tile", [1, 2])
def test_gradient_survives_a_probability_that_float16_cannot_hold(
    tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "_TILE_CPU", tile)
    linear = nn.Linear(1, 2, bias=False).requires_grad_(False)
    linear.weight[:] = torch.tensor([[0.0], [40.0]])
    linear = linear.half()
    hidden = torch.ones(1, 1, dtype=torch.float16)
    probability, gradient = answer_probability(linear, hidden, torch.tensor([0]))
    assert probability.dtype == torch.float32
    assert probability.item() == pytest.approx(4.248e-18, rel=1e-3)  # exp(-40)
    assert gradient.item() == pytest.approx(-40)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("tile", [3, 11])
def test_sixteen_bits_stay_near_float64(
    dtype: torch.dtype, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "_TILE_CPU", tile)
    torch.manual_seed(0)
    linear = nn.Linear(6, 11).to(dtype).requires_grad_(False)
    hidden, target = torch.randn(7, 6).to(dtype), torch.arange(7)
    found = answer_probability(linear, hidden, target)
    expected = answer_probability(linear.double(), hidden.double(), target)
    assert found[0].dtype == torch.float32 and found[1].dtype == dtype
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=0.02, atol=0.01)
