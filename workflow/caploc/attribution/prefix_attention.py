"""Attention of many rows that share the recorded keys and values of earlier positions.

A row stands for one token whose stream was changed. It attends to the recorded keys of the
positions before it, which are the same for all rows of that position, and to its own fresh key:

    softmax([q K^T, q k] * scale) [V; v]

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

from caploc.models._language_model import LanguageModel
from caploc.records import DataError

__all__ = ["Prefix", "PrefixAttention", "use_prefix_attention"]


@dataclass(frozen=True, slots=True)
class Prefix:
    """Recorded keys and values that a batch of rows attends to.

    Attributes:
        keys: per layer (sample, key/value head, token, head width).
        values: as keys.
        mask: (sample, 1, 1, answer token, token + 1) to add to the scores, 0 or minus infinity,
            the last column being the row's own key; None if every row sees the whole prefix.
    """

    keys: list[Tensor]
    values: list[Tensor]
    mask: Tensor | None


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

    def __call__(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Any:
        """Attention output (sample, head, row or token, head width)."""
        if self.prefix is None:
            self.keys[layer], self.values[layer] = key, value
            return nn.functional.scaled_dot_product_attention(
                query,
                key,
                value,
                is_causal=True,
                scale=scale,
                enable_gqa=query.shape[1] != key.shape[1],
            )
        prefix = self.prefix
        return _Attend.apply(
            query, key, value, prefix.keys[layer], prefix.values[layer], prefix.mask, scale
        )


@contextmanager
def use_prefix_attention(lm: LanguageModel) -> Iterator[PrefixAttention]:
    """Let all blocks of a model call one `PrefixAttention`; undone on exit, also after an error."""
    attention = PrefixAttention()
    config = lm.model.config
    name, before = f"caploc-prefix-{id(attention)}", config._attn_implementation
    patched = []
    # A name that has no mask function makes transformers build no mask: we enforce causality.
    ALL_ATTENTION_FUNCTIONS[name] = _interface(attention)
    try:
        config._attn_implementation = name
        if lm.family.attention_method:
            path, _, method = lm.family.attention_method.rpartition(".")
            for block in lm.blocks:
                module = block.get_submodule(path)
                patched.append((module, method, module.__dict__.get(method)))
                setattr(module, method, _method(attention, module))
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
        module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, **settings: Any
    ) -> tuple[Tensor, None]:
        for name in ("sliding_window", "softcap", "position_bias", "s_aux"):
            if settings.get(name) is not None:
                raise DataError(
                    f"{type(module).__name__}: attention with {name} is not supported, its scores "
                    "would be wrong; choose a model without it"
                )
        output = attention(module.layer_idx, query, key, value, settings["scaling"])
        return output.transpose(1, 2), None

    return attend


def _method(attention: PrefixAttention, module: Any) -> Any:
    """Replacement of the method ``_attn`` of GPT-J, which computes in float32 at least."""

    def attend(query: Tensor, key: Tensor, value: Tensor, mask: Any = None) -> tuple[Tensor, None]:
        wide = torch.promote_types(value.dtype, torch.float32)
        output = attention(
            module.layer_idx, query.to(wide), key.to(wide), value.to(wide), 1 / module.scale_attn
        )
        return output.to(value.dtype), None

    return attend


class _Attend(torch.autograd.Function):
    """Rows against a shared prefix and their own key.

    Shapes: q (B, H, S, D); k, v (B, G, S, D); prefix (B, G, T, D) with G key/value heads, H = G n.
    S counts (path row, answer token), answer token fastest. Scores are (B*G, n*S, T + 1).
    """

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor,
        mask: Tensor | None, scale: float,
    ) -> Tensor:  # fmt: skip
        B, H, S, D = q.shape
        G, T = keys.shape[1], keys.shape[2]
        q = q.reshape(B, G, H // G, S, D)
        own_k, own_v = k.unsqueeze(2), v.unsqueeze(2)
        # Softmax in float32 at least; a 16-bit product is widened when it is stored.
        wide = torch.promote_types(q.dtype, torch.float32)
        p = torch.empty(B * G, H // G * S, T + 1, dtype=wide, device=q.device)
        _product(q.reshape(B * G, -1, D), keys.reshape(B * G, T, D).transpose(1, 2), p[..., :T])
        p.view(B, G, H // G, S, T + 1)[..., T] = (q * own_k).sum(-1)
        p *= scale
        if mask is not None:
            Y = mask.shape[3]
            p.view(B, H, S // Y, Y, T + 1).add_(mask)
        p = torch.softmax(p, dim=-1).to(q.dtype)
        out = torch.bmm(p[..., :T], values.reshape(B * G, T, D)).view(B, G, H // G, S, D)
        out.addcmul_(p.view(B, G, H // G, S, T + 1)[..., T:], own_v)
        ctx.save_for_backward(q, own_k, own_v, p)
        ctx.prefix, ctx.scale = (keys, values), scale
        return out.view(B, H, S, D)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, own_k, own_v, p = ctx.saved_tensors
        keys, values = ctx.prefix
        B, G, n, S, D = q.shape
        T = keys.shape[2]
        grad = grad.reshape(B, G, n, S, D)
        dp = torch.empty_like(p)
        flat = grad.reshape(B * G, n * S, D)
        _product(flat, values.reshape(B * G, T, D).transpose(1, 2), dp[..., :T])
        dp.view(B, G, n, S, T + 1)[..., T] = (grad * own_v).sum(-1)
        # Gradient of the softmax: p * (dp - sum(p * dp)).
        dp *= p
        dp.addcmul_(p, dp.sum(-1, keepdim=True), value=-1)
        dp *= ctx.scale
        own = dp.view(B, G, n, S, T + 1)[..., T:]
        dq = torch.bmm(dp[..., :T], keys.reshape(B * G, T, D)).view(B, G, n, S, D)
        dq.addcmul_(own, own_k)
        dk = (own * q).sum(2)
        dv = (p.view(B, G, n, S, T + 1)[..., T:] * grad).sum(2)
        return dq.view(B, G * n, S, D), dk, dv, None, None, None, None


def _product(a: Tensor, b: Tensor, out: Tensor) -> None:
    """Batched matrix product into a strided, possibly wider, tensor."""
    if out.dtype == a.dtype:
        torch.bmm(a, b, out=out)
    else:
        out.copy_(torch.bmm(a, b))
