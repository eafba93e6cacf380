"""XGLM: as OPT, with sinusoidal positions and an attention method of its own."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from caploc.models.families import opt

__all__ = ["FAMILY"]


def _attention(module: Any, attend: Callable[..., Tensor]) -> Callable[..., Any]:
    """Replacement of ``XGLMAttention.forward``."""

    def forward(hidden_states: Tensor, **unused: Any) -> tuple[Tensor, None]:
        query, key, value = (
            project(hidden_states).unflatten(2, (module.num_heads, -1)).transpose(1, 2)
            for project in (module.q_proj, module.k_proj, module.v_proj)
        )
        output = attend(module.layer_idx, query, key, value, module.scaling)
        return module.out_proj(output.transpose(1, 2).flatten(2)), None

    return forward


FAMILY = replace(
    opt.FAMILY,
    name="xglm",
    architectures=("XGLMForCausalLM",),
    blocks="model.layers",
    final_norm="model.layer_norm",
    attention="eager",
    attention_method="self_attn.forward",
    attention_code=_attention,
)
