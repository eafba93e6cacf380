"""A random model of every decoder family, 3 layers, in float64 where its own code allows it.

Norms and biases are random too, so that a norm or bias in the wrong place is seen. The RMS norms of
transformers compute in float32; here they are replaced, for both computations.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import transformers
from tiny_models import tiny_gptj
from torch import Tensor, nn

from caploc.models.language_model import LanguageModel, wrap_model

VOCAB = 37
LLAMA_LIKE = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": VOCAB, "max_position_embeddings": 64,
    "initializer_range": 0.4, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
MOE_LIKE = LLAMA_LIKE | {"num_experts": 5, "num_experts_per_tok": 2}
GPT2_LIKE = {
    "n_embd": 16, "n_inner": 24, "n_layer": 3, "n_head": 4, "vocab_size": VOCAB, "n_positions": 64,
    "initializer_range": 0.4, "embd_pdrop": 0.1, "attn_pdrop": 0.1, "resid_pdrop": 0.1,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
FALCON_LIKE = {
    "hidden_size": 16, "ffn_hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4,
    "vocab_size": VOCAB, "max_position_embeddings": 64, "initializer_range": 0.4,
}  # fmt: skip
BLOOM_LIKE = {
    "hidden_size": 16, "n_layer": 3, "n_head": 4, "vocab_size": VOCAB, "initializer_range": 0.4,
}  # fmt: skip
GEMMA_LIKE = LLAMA_LIKE | {
    "head_dim": 6,
    "sliding_window": 4,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
}


def tiny(name: str, base: dict[str, Any] = LLAMA_LIKE, **settings: Any) -> LanguageModel:
    """A model of the architecture ``<name>ForCausalLM``; `settings` go to its config.

    Beside these: ``attention``, its implementation; ``exact``, whether norms are in float64.
    """
    return wrap_model(tiny_model(name, base, **settings))


def tiny_model(name: str, base: dict[str, Any] = LLAMA_LIKE, **settings: Any) -> Any:
    torch.manual_seed(0)
    wanted = {**base, **settings}
    attention, exact = wanted.pop("attention", "sdpa"), wanted.pop("exact", True)
    config_name = "Gemma3TextConfig" if name == "Gemma3" else f"{name}Config"
    config = getattr(transformers, config_name)(**wanted)
    cls = getattr(transformers, "GPT2LMHeadModel" if name == "GPT2" else f"{name}ForCausalLM")
    experts = {"experts_implementation": "eager"} if "num_experts" in wanted else {}
    model = cls._from_config(config, attn_implementation=attention, **experts).double()
    for module in model.modules():
        kind = type(module).__name__
        if kind.endswith("RMSNorm"):
            nn.init.uniform_(module.weight, *((-0.5, 0.5) if "Gemma" in kind else (0.5, 1.5)))
            if exact:
                module.forward = _rms_norm(module, one=float("Gemma" in kind))
        elif isinstance(module, nn.LayerNorm) and module.weight is not None:
            nn.init.uniform_(module.weight, 0.5, 1.5)
    for key, parameter in model.named_parameters():
        if key.endswith("bias"):
            nn.init.normal_(parameter, std=0.3)
    return model.eval()


def _rms_norm(module: Any, one: float) -> Callable[[Tensor], Tensor]:
    eps = module.eps if hasattr(module, "eps") else module.variance_epsilon

    def forward(x: Tensor) -> Tensor:
        return (one + module.weight) * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps))

    return forward


@contextmanager
def softmax_in_float64() -> Iterator[None]:
    """Ignore the ``dtype=torch.float32`` of the softmax in the code of transformers."""
    original = nn.functional.softmax

    def softmax(x: Tensor, dim: int = -1, dtype: Any = None, **settings: Any) -> Tensor:
        return original(x, dim, dtype=None if x.dtype == torch.float64 else dtype, **settings)

    nn.functional.softmax = softmax
    try:
        yield
    finally:
        nn.functional.softmax = original


def rope(kind: str, **settings: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 100.0, **settings}}


# Every one is compared with the definition; the longest sample is longer than each window.
FAMILIES: dict[str, Callable[[], LanguageModel]] = {
    "llama": lambda: tiny("Llama", attention_bias=True, mlp_bias=True, tie_word_embeddings=True),
    "llama, rope llama3": lambda: tiny(
        "Llama", **rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                        original_max_position_embeddings=16),
    ),
    "llama, rope yarn": lambda: tiny(
        "Llama", **rope("yarn", factor=4.0, original_max_position_embeddings=16)
    ),
    "llama, rope linear": lambda: tiny("Llama", **rope("linear", factor=2.0)),
    "llama, rope dynamic": lambda: tiny("Llama", **rope("dynamic", factor=2.0)),
    "mistral": lambda: tiny("Mistral", sliding_window=5),
    "mistral, no window": lambda: tiny("Mistral", sliding_window=None, num_key_value_heads=1),
    "qwen2": lambda: tiny("Qwen2"),
    "qwen2, windows": lambda: tiny(
        "Qwen2", use_sliding_window=True, sliding_window=4, max_window_layers=1
    ),
    "qwen3": lambda: tiny("Qwen3", head_dim=6),
    "qwen3, windows": lambda: tiny(
        "Qwen3", head_dim=4, use_sliding_window=True, sliding_window=4, max_window_layers=1
    ),
    "gpt2": lambda: tiny("GPT2", GPT2_LIKE),
    "gpt2, scaled by layer": lambda: tiny(
        "GPT2", GPT2_LIKE, n_inner=None, scale_attn_by_inverse_layer_idx=True
    ),
    "gptj": tiny_gptj,
    "gpt_neox": lambda: tiny("GPTNeoX", rotary_pct=0.5),
    "gpt_neox, sequential": lambda: tiny("GPTNeoX", use_parallel_residual=False),
    "opt": lambda: tiny("OPT", ffn_dim=24, word_embed_proj_dim=16, init_std=0.4),
    "phi3": lambda: tiny("Phi3", partial_rotary_factor=0.5),
    "phi3, rope longrope": lambda: tiny(
        "Phi3", **rope("longrope", short_factor=[1.0, 1.5], long_factor=[2.0, 4.0], factor=4.0,
                       original_max_position_embeddings=16),
    ),
    "phi3, window": lambda: tiny("Phi3", sliding_window=5),
    "falcon, multi-query": lambda: tiny("Falcon", FALCON_LIKE),
    "falcon, sequential, all heads": lambda: tiny(
        "Falcon", FALCON_LIKE, multi_query=False, parallel_attn=False, bias=True
    ),
    "falcon, new": lambda: tiny(
        "Falcon", FALCON_LIKE, new_decoder_architecture=True, num_kv_heads=2
    ),
    "falcon, alibi": lambda: tiny("Falcon", FALCON_LIKE, multi_query=False, alibi=True),
    "gemma2": lambda: tiny("Gemma2", GEMMA_LIKE, attention="eager", attn_logit_softcapping=1.5,
                           final_logit_softcapping=2.0, query_pre_attn_scalar=3),
    "gemma3": lambda: tiny("Gemma3", GEMMA_LIKE, final_logit_softcapping=2.0),
    "gemma3, no cap": lambda: tiny("Gemma3", GEMMA_LIKE),
    "olmo2": lambda: tiny("Olmo2"),
    "olmoe": lambda: tiny("Olmoe", MOE_LIKE, intermediate_size=6),
    "llama, scaled logits": lambda: tiny("Granite", logits_scaling=3.0),
    "bloom": lambda: tiny("Bloom", BLOOM_LIKE, attention="eager"),
    "deepseek_v3, one plain layer": lambda: tiny(
        "Glm4Moe", MOE_LIKE, first_k_dense_replace=1, n_routed_experts=5, n_shared_experts=1,
        moe_intermediate_size=6, head_dim=4, n_group=1, topk_group=1,
    ),
    "qwen3_moe": lambda: tiny("Qwen3Moe", MOE_LIKE, moe_intermediate_size=6, head_dim=4,
                              norm_topk_prob=True),
}  # fmt: skip
