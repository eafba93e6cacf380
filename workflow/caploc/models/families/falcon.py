"""Falcon, both decoder architectures: multi-query or grouped attention, rotation or ALiBi."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from caploc.models.families._alibi import biased
from caploc.models.family import Family

__all__ = ["FAMILY"]


def _attention(module: Any, attend: Callable[..., Tensor]) -> Callable[..., Any]:
    """Replacement of ``FalconAttention.forward``."""
    # Here, because every family is read to find the one of a model.
    from transformers.models.falcon import modeling_falcon

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
            n_heads = query.shape[1]
            whole = torch.ones(
                1, int(position_ids.max()) + 1, dtype=torch.long, device=query.device
            )
            bias = modeling_falcon.build_alibi_tensor(whole, n_heads, query.dtype)[
                :, 0, position_ids
            ]
            query, key, value = biased(query, key, value, bias.transpose(0, 1))
        else:
            query, key = modeling_falcon.apply_rotary_pos_emb(query, key, *position_embeddings)
        output = attend(module.layer_idx, query, key, value, module.inv_norm_factor)
        return module.dense(output.transpose(1, 2).flatten(2)), None

    return forward


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
