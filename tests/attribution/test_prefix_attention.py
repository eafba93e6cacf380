"""Rows with a shared prefix against ordinary attention, one row at a time."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from caploc.attribution.prefix_attention import Prefix, PrefixAttention

B, HEADS, WIDTH, TOKENS, PATHS, ANSWERS = 2, 4, 3, 5, 2, 3
# Number of prefix tokens that a row of each (sample, answer token) sees; 0 is an empty prefix.
SEEN = torch.tensor([[0, 2, 5], [3, 4, 4]])


def plain(q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """The definition: a loop over samples, heads and rows."""
    out = torch.zeros_like(q)
    group = HEADS // k.shape[1]
    for b in range(B):
        for h in range(HEADS):
            for row in range(PATHS * ANSWERS):
                n = int(SEEN[b, row % ANSWERS])
                all_keys = torch.cat([keys[b, h // group, :n], k[b, h // group, row][None]])
                all_values = torch.cat([values[b, h // group, :n], v[b, h // group, row][None]])
                weights = torch.softmax(all_keys @ q[b, h, row] * scale, 0)
                out[b, h, row] = weights @ all_values
    return out


def mask() -> Tensor:
    seen = torch.arange(TOKENS + 1)
    visible = (seen < SEEN[..., None]) | (seen == TOKENS)
    return torch.where(visible, 0.0, -math.inf).double()[:, None, None]


def tensors(kv_heads: int) -> list[Tensor]:
    torch.manual_seed(kv_heads)
    n = PATHS * ANSWERS
    shapes = [(B, HEADS, n), (B, kv_heads, n), (B, kv_heads, n), (B, kv_heads, TOKENS),
              (B, kv_heads, TOKENS)]  # fmt: skip
    return [torch.randn(*shape, WIDTH, dtype=torch.float64) for shape in shapes]


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_value_and_gradient(kv_heads: int) -> None:
    q, k, v, keys, values = tensors(kv_heads)
    attention = PrefixAttention(Prefix([keys], [values], mask()))
    leaves = [x.requires_grad_(True) for x in (q, k, v)]
    found = attention(0, q, k, v, 0.7)
    expected = plain(q, k, v, keys, values, 0.7)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    seed = torch.randn_like(expected)
    for ours, theirs in zip(
        torch.autograd.grad(found, leaves, seed),
        torch.autograd.grad(expected, leaves, seed),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_no_prefix_at_all_returns_the_own_value() -> None:
    q, k, v, keys, values = tensors(2)
    attention = PrefixAttention(Prefix([keys[:, :, :0]], [values[:, :, :0]], None))
    found = attention(0, q, k, v, 0.7)
    torch.testing.assert_close(found, v.repeat_interleave(2, dim=1), rtol=0, atol=1e-15)


def test_single_sample_does_not_copy_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v, keys, values = (x[:1] for x in tensors(2))
    # As recorded: longer than the prefix in use, so that trimming leaves a view.
    keys, values = keys[:, :, :4], values[:, :, :4]
    used: list[Any] = []
    original = torch.bmm

    def bmm(a: Tensor, b: Tensor, **settings: Any) -> Tensor:
        used.append(b.untyped_storage().data_ptr())
        return original(a, b, **settings)

    monkeypatch.setattr(torch, "bmm", bmm)
    PrefixAttention(Prefix([keys], [values], None))(0, q, k, v, 1.0)
    assert used == [keys.untyped_storage().data_ptr(), values.untyped_storage().data_ptr()]


def test_recording_keeps_keys_and_values_and_is_causal() -> None:
    q, k, v, *_ = tensors(2)
    attention = PrefixAttention()
    found = attention(3, q, k, v, 0.7)
    assert attention.keys[3] is k and attention.values[3] is v
    last = torch.softmax(q[0, 1, 2] @ k[0, 0, :3].T * 0.7, 0) @ v[0, 0, :3]
    torch.testing.assert_close(found[0, 1, 2], last, rtol=1e-10, atol=1e-12)
