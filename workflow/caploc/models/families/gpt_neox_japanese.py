"""GPT-NeoX Japanese: sequential residual, no biases, an attention method of its own."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from caploc.models.families import gpt_neox

__all__ = ["FAMILY"]


def _attention(module: Any, attend: Callable[..., Tensor]) -> Callable[..., Any]:
    """Replacement of ``GPTNeoXJapaneseAttention._attn``."""

    def attn(query: Tensor, key: Tensor, value: Tensor, mask: Any = None) -> tuple[Tensor, None]:
        return attend(module.layer_idx, query, key, value, 1 / module.norm_factor), None

    return attn


FAMILY = replace(
    gpt_neox.FAMILY,
    name="gpt_neox_japanese",
    architectures=("GPTNeoXJapaneseForCausalLM",),
    blocks="gpt_neox_japanese.layers",
    # Four times the hidden size, unless its config has another multiple.
    ffn_width="",
    final_norm="gpt_neox_japanese.final_layer_norm",
    attention="eager",
    attention_method="attention._attn",
    attention_code=_attention,
)
