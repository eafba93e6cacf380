"""Attention of many rows that share the recorded keys and values of earlier positions.

A row stands for one token whose stream was changed. It attends to the recorded keys of the
positions before it, which are the same for all rows of that position, and to its own fresh key:

    softmax([q K^T, q k] * scale) [V; v]

Where the layer has a sliding window of n tokens, only the last n - 1 positions before the row are
seen; where it caps its scores softly, c tanh(s / c) takes the place of a score s; where a head has
a sink, a number that competes with the scores, the softmax has one more entry with no value.

The prefix is neither copied per row nor differentiated: all rows of a sample are one matrix
product per key/value head, and only q, k and v get gradients.

Every block of transformers calls this through its attention interface (or, in older classes, a
method of the attention module), so the blocks themselves run unchanged.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from caploc.models.language_model import LanguageModel
from caploc.records import DataError

__all__ = ["Prefix", "PrefixAttention", "use_prefix_attention"]


# Scores held at once on the processor; measured, half or twice as many are as fast.
_SCORES_CPU = 1 << 20


@dataclass(frozen=True, slots=True)
class Prefix:
    """Recorded keys and values that a batch of rows attends to.

    Attributes:
        keys: per layer (sample, key/value head, token, head width), tokens before the last slot.
        values: as keys; their head width may differ.
        slots: (sample, answer token) position of each row.
        masks: what `mask` has found, by window.
    """

    keys: list[Tensor]
    values: list[Tensor]
    slots: Tensor
    masks: dict[int | None, Tensor | None] = field(default_factory=dict)

    def mask(self, window: int | None) -> Tensor | None:
        """What is added to the scores of a layer.

        Args:
            window: tokens that a row sees, itself included; None means all.

        Returns:
            (sample, 1, 1, answer token, token + 1) of 0 or minus infinity, the last column being
            the row's own key; None if every row sees the whole prefix.
        """
        if window not in self.masks:
            length = self.keys[0].shape[2]
            token = torch.arange(length + 1, device=self.slots.device)
            slot = self.slots[..., None]
            visible = token < slot
            if window is not None:
                visible &= token > slot - window
            visible |= token == length
            dtype = torch.promote_types(self.keys[0].dtype, torch.float32)
            added = torch.zeros(visible.shape, dtype=dtype, device=self.slots.device)
            added = added.masked_fill_(~visible, float("-inf"))[:, None, None]
            self.masks[window] = None if bool(visible.all()) else added
        return self.masks[window]


@dataclass(slots=True)
class PrefixAttention:
    """What the attention function does now: records full sequences, or serves rows.

    Attributes:
        prefix: set while rows go through the blocks; None while sequences are recorded.
        keys: recorded keys by layer index, (sample, key/value head, token, head width).
        values: recorded values, as keys.
    """

    prefix: Prefix | None = None
    keys: dict[int, Tensor] = field(default_factory=dict)
    values: dict[int, Tensor] = field(default_factory=dict)

    def __call__(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, *,
        window: int | None = None, softcap: float | None = None, sink: Tensor | None = None,
    ) -> Any:  # fmt: skip
        """Attention output (sample, head, row or token, head width)."""
        prefix = self.prefix
        if prefix is None:
            self.keys[layer], self.values[layer] = key, value
            return _causal(query, key, value, scale, window, softcap, sink)
        mask = prefix.mask(window)
        mask = None if mask is None else mask.to(query.device)
        n_rows = _rows_at_once(query, prefix)
        parts = [
            _Attend.apply(
                *rows, prefix.keys[layer], prefix.values[layer], mask, scale, softcap, sink
            )
            for rows in zip(*(x.split(n_rows, dim=2) for x in (query, key, value)), strict=True)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def _rows_at_once(query: Tensor, prefix: Prefix) -> int:
    """Rows (sample, head, row, head width) whose scores stay in the processor's cache.

    Whole path rows, because the mask repeats with them; on another device all of them.
    """
    B, H, S, _ = query.shape
    if query.device.type != "cpu":
        return max(S, 1)
    n_answer_tokens = prefix.slots.shape[1]
    path_row = B * H * n_answer_tokens * (prefix.keys[0].shape[2] + 1)
    return max(_SCORES_CPU // path_row, 1) * n_answer_tokens


@contextmanager
def use_prefix_attention(lm: LanguageModel) -> Iterator[PrefixAttention]:
    """Let all blocks of a model call one `PrefixAttention`; undone on exit, also after an error."""
    attention = PrefixAttention()
    config = lm.config
    name, before = f"caploc-prefix-{id(attention)}", config._attn_implementation
    patched = []
    # A name that has no mask function makes transformers build no mask: we enforce causality.
    ALL_ATTENTION_FUNCTIONS[name] = _interface(attention)
    try:
        if not lm.family.needs_mask:
            config._attn_implementation = name
        if lm.family.attention_code is not None:
            path, _, method = lm.family.attention_method.rpartition(".")
            for block in lm.blocks:
                module = block.get_submodule(path)
                patched.append((module, method, module.__dict__.get(method)))
                setattr(module, method, lm.family.attention_code(module, attention))
        yield attention
    finally:
        config._attn_implementation = before
        for module, method, own in patched:
            delattr(module, method)
            if own is not None:
                setattr(module, method, own)
        del ALL_ATTENTION_FUNCTIONS[name]


def _interface(attention: PrefixAttention) -> Any:
    """Function with the signature of the attention interface of transformers."""

    def attend(
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Any = None,
        **settings: Any,
    ) -> tuple[Tensor, None]:
        if settings.get("position_bias") is not None:
            _refuse(module, "attention with position_bias")
        if not getattr(module, "is_causal", True):
            _refuse(module, "attention to later tokens")
        output = attention(
            module.layer_idx, query, key, value, settings["scaling"],
            window=settings.get("sliding_window"), softcap=settings.get("softcap"),
            sink=settings.get("s_aux"),
        )  # fmt: skip
        return output.transpose(1, 2).contiguous(), None

    return attend


def _refuse(module: Any, what: str) -> None:
    raise DataError(
        f"{type(module).__name__}: {what} is not supported, its scores would be wrong; choose a "
        "model without it"
    )


def _causal(
    query: Tensor, key: Tensor, value: Tensor, scale: float, window: int | None,
    softcap: float | None, sink: Tensor | None,
) -> Tensor:  # fmt: skip
    """Ordinary attention of whole sequences to themselves."""
    n_tokens = query.shape[2]
    plain = softcap is None and sink is None
    if plain and (window is None or window >= n_tokens):
        visible = None
    else:
        visible = torch.ones(n_tokens, n_tokens, dtype=torch.bool, device=query.device).tril()
        visible = visible if window is None else visible.triu(1 - window)
    if plain:
        return nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=visible, is_causal=visible is None, scale=scale,
            enable_gqa=query.shape[1] != key.shape[1],
        )  # fmt: skip
    # (sample, key/value head, query head of it, token, token)
    scores = query.unflatten(1, (key.shape[1], -1)) @ key.unsqueeze(2).transpose(-1, -2)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32)) * scale
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    assert visible is not None
    scores = scores.masked_fill(~visible, float("-inf"))
    p = _softmax(scores.flatten(1, 2), sink).view_as(scores)
    return (p.to(value.dtype) @ value.unsqueeze(2)).flatten(1, 2)


def _softmax(scores: Tensor, sink: Tensor | None) -> Tensor:
    """Of scores (sample, head, row, token); a sink (head,) takes a share of every row."""
    if sink is None:
        return torch.softmax(scores, dim=-1)
    extra = sink.to(scores)[None, :, None, None].expand(*scores.shape[:-1], 1)
    return torch.softmax(torch.cat([scores, extra], dim=-1), dim=-1)[..., :-1]


class _Attend(torch.autograd.Function):
    """Rows against a shared prefix and their own key.

    Shapes: q (B, H, S, D); k (B, G, S, D), v (B, G, S, E); prefix keys (B, G, T, D) and values
    (B, G, T, E) with G key/value heads, H = G n.
    S counts (path row, answer token), answer token fastest. Scores are (B*G, n*S, T + 1).
    """

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor,
        mask: Tensor | None, scale: float, softcap: float | None, sink: Tensor | None,
    ) -> Tensor:  # fmt: skip
        B, H, S, D = q.shape
        G, T, E = keys.shape[1], keys.shape[2], v.shape[-1]
        q = q.reshape(B, G, H // G, S, D)
        own_k, own_v = k.unsqueeze(2), v.unsqueeze(2)
        # Softmax in float32 at least; a 16-bit product is widened when it is stored.
        wide = torch.promote_types(q.dtype, torch.float32)
        p = torch.empty(B * G, H // G * S, T + 1, dtype=wide, device=q.device)
        _product(q.reshape(B * G, -1, D), keys.reshape(B * G, T, D).transpose(1, 2), p[..., :T])
        p.view(B, G, H // G, S, T + 1)[..., T] = (q * own_k).sum(-1)
        p *= scale
        tanh = None
        if softcap is not None:
            tanh = torch.tanh(p / softcap)
            p = tanh * softcap
        if mask is not None:
            Y = mask.shape[3]
            p.view(B, H, S // Y, Y, T + 1).add_(mask)
        # The way back is the same with a sink: it has no value, so nothing pulls at it.
        p = _softmax(p.view(B, H, S, T + 1), sink).to(q.dtype).reshape(B * G, -1, T + 1)
        out = torch.bmm(p[..., :T], values.reshape(B * G, T, E)).view(B, G, H // G, S, E)
        out.addcmul_(p.view(B, G, H // G, S, T + 1)[..., T:], own_v)
        ctx.save_for_backward(q, own_k, own_v, p, tanh)
        ctx.prefix, ctx.scale = (keys, values), scale
        return out.view(B, H, S, E)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, own_k, own_v, p, tanh = ctx.saved_tensors
        keys, values = ctx.prefix
        B, G, n, S, D = q.shape
        T, E = values.shape[2:]
        grad = grad.reshape(B, G, n, S, E)
        dp = torch.empty_like(p)
        flat = grad.reshape(B * G, n * S, E)
        _product(flat, values.reshape(B * G, T, E).transpose(1, 2), dp[..., :T])
        dp.view(B, G, n, S, T + 1)[..., T] = (grad * own_v).sum(-1)
        # Gradient of the softmax: p * (dp - sum(p * dp)).
        dp *= p
        dp.addcmul_(p, dp.sum(-1, keepdim=True), value=-1)
        if tanh is not None:
            dp.addcmul_(dp, tanh * tanh, value=-1)
        dp *= ctx.scale
        own = dp.view(B, G, n, S, T + 1)[..., T:]
        dq = torch.bmm(dp[..., :T], keys.reshape(B * G, T, D)).view(B, G, n, S, D)
        dq.addcmul_(own, own_k)
        dk = (own * q).sum(2)
        dv = (p.view(B, G, n, S, T + 1)[..., T:] * grad).sum(2)
        return dq.view(B, G * n, S, D), dk, dv, None, None, None, None, None, None


def _product(a: Tensor, b: Tensor, out: Tensor) -> None:
    """Batched matrix product into a strided, possibly wider, tensor."""
    if out.dtype == a.dtype:
        torch.bmm(a, b, out=out)
    else:
        out.copy_(torch.bmm(a, b))
