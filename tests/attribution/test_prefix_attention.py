"""Rows with a shared prefix against ordinary attention, one row at a time."""

from typing import Any

import pytest
import torch
from torch import Tensor

from caploc.attribution import prefix_attention
from caploc.attribution.prefix_attention import Prefix, PrefixAttention

B, HEADS, WIDTH, TOKENS, PATHS, ANSWERS = 2, 4, 3, 5, 2, 3
# Number of prefix tokens that a row of each (sample, answer token) sees; 0 is an empty prefix.
SEEN = torch.tensor([[0, 2, 5], [3, 4, 4]])


def plain(
    q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor, scale: float,
    window: int | None = None, softcap: float | None = None,
) -> Tensor:  # fmt: skip
    """The definition: a loop over samples, heads and rows."""
    out = torch.zeros(*q.shape[:3], v.shape[-1], dtype=q.dtype)
    group = HEADS // k.shape[1]
    for b in range(B):
        for h in range(HEADS):
            for row in range(PATHS * ANSWERS):
                n = int(SEEN[b, row % ANSWERS])
                first = 0 if window is None else max(0, n - window + 1)
                all_keys = torch.cat([keys[b, h // group, first:n], k[b, h // group, row][None]])
                all_values = torch.cat(
                    [values[b, h // group, first:n], v[b, h // group, row][None]]
                )
                scores = all_keys @ q[b, h, row] * scale
                if softcap is not None:
                    scores = softcap * torch.tanh(scores / softcap)
                out[b, h, row] = torch.softmax(scores, 0) @ all_values
    return out


def tensors(kv_heads: int, value_width: int = WIDTH) -> list[Tensor]:
    torch.manual_seed(kv_heads)
    n = PATHS * ANSWERS
    shapes = [(HEADS, n, WIDTH), (kv_heads, n, WIDTH), (kv_heads, n, value_width),
              (kv_heads, TOKENS, WIDTH), (kv_heads, TOKENS, value_width)]  # fmt: skip
    return [torch.randn(B, *shape, dtype=torch.float64) for shape in shapes]


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("settings", [{}, {"window": 3}, {"softcap": 0.8},
                                      {"window": 1, "softcap": 2.0}])  # fmt: skip
@pytest.mark.parametrize("scores_at_once", [1, 1 << 20])  # path rows one by one, all together
def test_value_and_gradient(
    kv_heads: int, settings: dict[str, Any], scores_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefix_attention, "_SCORES_CPU", scores_at_once)
    q, k, v, keys, values = tensors(kv_heads, value_width=2)
    attention = PrefixAttention(Prefix([keys], [values], SEEN))
    leaves = [x.requires_grad_(True) for x in (q, k, v)]
    found = attention(0, q, k, v, 0.7, **settings)
    expected = plain(q, k, v, keys, values, 0.7, **settings)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    seed = torch.randn_like(expected)
    for ours, theirs in zip(
        torch.autograd.grad(found, leaves, seed),
        torch.autograd.grad(expected, leaves, seed),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_mask_is_left_out_where_every_row_sees_the_whole_prefix() -> None:
    _, _, _, keys, values = tensors(2)
    prefix = Prefix([keys], [values], torch.full((B, 1), TOKENS))
    assert prefix.mask(None) is None and prefix.mask(TOKENS + 1) is None
    assert prefix.mask(TOKENS) is not None


def test_no_prefix_at_all_returns_the_own_value() -> None:
    q, k, v, keys, values = tensors(2)
    attention = PrefixAttention(
        Prefix([keys[:, :, :0]], [values[:, :, :0]], torch.zeros_like(SEEN))
    )
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
    PrefixAttention(Prefix([keys], [values], torch.full((1, 3), 4)))(0, q, k, v, 1.0)
    assert used == [keys.untyped_storage().data_ptr(), values.untyped_storage().data_ptr()]


@pytest.mark.parametrize("settings", [{}, {"window": 2}, {"softcap": 0.8},
                                      {"window": 2, "softcap": 0.8}, {"window": 99}])  # fmt: skip
def test_recording_keeps_keys_and_values_and_is_causal(settings: dict[str, Any]) -> None:
    q, k, v, *_ = tensors(2)
    attention = PrefixAttention()
    found = attention(3, q, k, v, 0.7, **settings)
    assert attention.keys[3] is k and attention.values[3] is v
    for token in range(PATHS * ANSWERS):
        first = max(0, token - settings.get("window", 99) + 1)
        scores = k[0, 0, first : token + 1] @ q[0, 1, token] * 0.7
        if cap := settings.get("softcap"):
            scores = cap * torch.tanh(scores / cap)
        expected = torch.softmax(scores, 0) @ v[0, 0, first : token + 1]
        torch.testing.assert_close(found[0, 1, token], expected, rtol=1e-10, atol=1e-12)
