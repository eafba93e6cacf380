"""MPT: no biases; a slope times the key's position is added to attention scores (ALiBi)."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from caploc.models.families._alibi import biased, positions
from caploc.models.family import Family

__all__ = ["FAMILY"]


def _attention(module: Any, attend: Callable[..., Tensor]) -> Callable[..., Any]:
    """Replacement of ``MptAttention.forward``."""
    # Here, because every family is read to find the one of a model.
    from transformers.models.mpt import modeling_mpt

    def forward(hidden_states: Tensor, *unused: Any, **also_unused: Any) -> tuple[Tensor, None]:
        fused = module.Wqkv(hidden_states)
        if module.clip_qkv:
            fused = fused.clamp(min=-module.clip_qkv, max=module.clip_qkv)
        query, key, value = (
            x.unflatten(2, (module.n_heads, -1)).transpose(1, 2) for x in fused.chunk(3, dim=2)
        )
        # The last of two positions stands for 0, the one before for -1.
        slopes = -modeling_mpt.build_mpt_alibi_tensor(module.n_heads, 2, device=query.device)[
            ..., 0
        ]
        bias = slopes * positions(attend, hidden_states)[:, None]
        output = attend(
            module.layer_idx, *biased(query, key, value, bias / module.softmax_scale),
            module.softmax_scale,
        )  # fmt: skip
        return module.out_proj(output.transpose(1, 2).flatten(2)), None

    return forward


FAMILY = Family(
    name="mpt",
    architectures=("MptForCausalLM",),
    blocks="transformer.blocks",
    ffn_out="ffn.down_proj",
    # Four times the hidden size, in this class.
    ffn_width="",
    ffn_in=("ffn.up_proj",),
    final_norm="transformer.norm_f",
    attention="eager",
    attention_method="attn.forward",
    attention_code=_attention,
    needs_mask=True,
    unused_arguments=("position_bias", "attention_mask"),
    attention_out="attn.out_proj",
)
