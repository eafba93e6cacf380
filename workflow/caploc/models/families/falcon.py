"""Falcon, both decoder architectures: multi-query or grouped attention, rotation or ALiBi."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from caploc.models.family import Family

__all__ = ["FAMILY"]


def _attention(module: Any, attend: Callable[..., Tensor]) -> Callable[..., Any]:
    """Replacement of ``FalconAttention.forward``."""
    # Here, because every family is read to find the one of a model.
    from transformers.models.falcon.modeling_falcon import apply_rotary_pos_emb

    def forward(
        hidden_states: Tensor,
        position_ids: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        **unused: Any,
    ) -> tuple[Tensor, None]:
        # A key/value head after the other, each with its queries, then its key and value.
        fused = module.query_key_value(hidden_states).unflatten(-1, (-1, module.head_dim))
        groups = fused.unflatten(2, ((fused.shape[2] - module.num_heads) // 2, -1))
        query = groups[..., :-2, :].flatten(2, 3).transpose(1, 2)
        key, value = groups[..., -2, :].transpose(1, 2), groups[..., -1, :].transpose(1, 2)
        if module.config.alibi:
            query, key, value = _biased(query, key, value, position_ids)
        else:
            query, key = apply_rotary_pos_emb(query, key, *position_embeddings)
        output = attend(module.layer_idx, query, key, value, module.inv_norm_factor)
        return module.dense(output.transpose(1, 2).flatten(2)), None

    return forward


def _biased(
    query: Tensor, key: Tensor, value: Tensor, positions: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """ALiBi as one more column: a query of 1 times what a position adds for the head."""
    from transformers.models.falcon.modeling_falcon import build_alibi_tensor

    n_heads = query.shape[1]
    repeat = n_heads // key.shape[1]
    whole = torch.ones(1, int(positions.max()) + 1, dtype=torch.long, device=query.device)
    bias = build_alibi_tensor(whole, n_heads, query.dtype)[:, 0, positions].transpose(0, 1)
    bias = bias[..., None].expand(len(query), -1, -1, -1)
    return (
        torch.cat([query, torch.ones_like(query[..., :1])], dim=-1),
        torch.cat([key.repeat_interleave(repeat, dim=1), bias], dim=-1),
        value.repeat_interleave(repeat, dim=1),
    )


FAMILY = Family(
    name="falcon",
    architectures=("FalconForCausalLM",),
    blocks="transformer.h",
    ffn_out="mlp.dense_4h_to_h",
    ffn_width="ffn_hidden_size",
    ffn_in=("mlp.dense_h_to_4h",),
    final_norm="transformer.ln_f",
    # The class does not use the attention interface.
    attention_method="self_attention.forward",
    attention_code=_attention,
    unused_arguments=("alibi", "attention_mask"),
    attention_out="self_attention.dense",
)
