"""GPT-J: attention and FFN read the same norm and are added together (parallel residual)."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from caploc.models.family import Family

__all__ = ["FAMILY"]


def _attention(module: Any, attend: Callable[..., Tensor]) -> Callable[..., Any]:
    """Replacement of ``GPTJAttention._attn``, which computes in float32 at least."""

    def attn(query: Tensor, key: Tensor, value: Tensor, mask: Any = None) -> tuple[Tensor, None]:
        wide = torch.promote_types(value.dtype, torch.float32)
        q, k, v = (x.to(wide) for x in (query, key, value))
        return attend(module.layer_idx, q, k, v, 1 / module.scale_attn).to(value.dtype), None

    return attn


FAMILY = Family(
    name="gptj",
    architectures=("GPTJForCausalLM",),
    blocks="transformer.h",
    ffn_out="mlp.fc_out",
    ffn_width="n_inner",
    ffn_in=("mlp.fc_in",),
    final_norm="transformer.ln_f",
    # The class predates the attention interface: it computes the scores in a method of its own.
    attention="eager",
    attention_method="attn._attn",
    attention_code=_attention,
    attention_out="attn.out_proj",
    attention_in=("attn.q_proj", "attn.k_proj", "attn.v_proj"),
    attention_norm="ln_1",
    ffn_norm="ln_1",
)
