"""BLOOM: a slope times the key's position is added to attention scores (ALiBi)."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from caploc.models.families._alibi import biased, positions
from caploc.models.family import Family

__all__ = ["FAMILY"]


def _attention(module: Any, attend: Callable[..., Tensor]) -> Callable[..., Any]:
    """Replacement of ``BloomAttention.forward``."""
    # Here, because every family is read to find the one of a model.
    from transformers.models.bloom import modeling_bloom

    def forward(
        hidden_states: Tensor, residual: Tensor, *unused: Any, **also_unused: Any
    ) -> tuple[Tensor, None]:
        query, key, value = module._reshape(module.query_key_value(hidden_states))
        slopes = modeling_bloom._get_alibi_slopes(module.num_heads, query.device)
        bias = slopes[:, None] * positions(attend, hidden_states)[:, None]
        output = attend(
            module.layer_idx, *biased(query, key, value, bias / module.inv_norm_factor),
            module.inv_norm_factor,
        )  # fmt: skip
        return module.dense(output.transpose(1, 2).flatten(2)) + residual, None

    return forward


FAMILY = Family(
    name="bloom",
    architectures=("BloomForCausalLM",),
    blocks="transformer.h",
    ffn_out="mlp.dense_4h_to_h",
    # Always four times the hidden size.
    ffn_width="",
    ffn_in=("mlp.dense_h_to_4h",),
    final_norm="transformer.ln_f",
    attention="eager",
    attention_method="self_attention.forward",
    attention_code=_attention,
    unused_arguments=("alibi", "attention_mask"),
    attention_out="self_attention.dense",
)
