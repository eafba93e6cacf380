"""GPT-Neo: attention scores are not scaled; every other layer has a window."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from caploc.models.family import Family

__all__ = ["FAMILY"]


def _attention(module: Any, attend: Callable[..., Tensor]) -> Callable[..., Any]:
    """Replacement of ``GPTNeoSelfAttention._attn``, which computes in float32 at least."""
    window = module.config.window_size if module.attention_type == "local" else None

    def attn(query: Tensor, key: Tensor, value: Tensor, mask: Any = None) -> tuple[Tensor, None]:
        wide = torch.promote_types(value.dtype, torch.float32)
        q, k, v = (x.to(wide) for x in (query, key, value))
        return attend(module.layer_id, q, k, v, 1.0, window=window).to(value.dtype), None

    return attn


FAMILY = Family(
    name="gpt_neo",
    architectures=("GPTNeoForCausalLM",),
    blocks="transformer.h",
    ffn_out="mlp.c_proj",
    ffn_width="intermediate_size",
    ffn_in=("mlp.c_fc",),
    final_norm="transformer.ln_f",
    attention="eager",
    attention_method="attn.attention._attn",
    attention_code=_attention,
    attention_out="attn.attention.out_proj",
    attention_in=("attn.attention.q_proj", "attn.attention.k_proj", "attn.attention.v_proj"),
    attention_norm="ln_1",
    ffn_norm="ln_2",
)
