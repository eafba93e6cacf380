"""A random model of two layers for every causal-LM architecture of the installed transformers.

All parts of it that their own code computes in float32 are in float64 inside `in_float64`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import transformers
from torch.overrides import TorchFunctionMode
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

from caploc import plugins

VOCAB = 37
DECLARED: dict[str, str] = {
    architecture: name
    for name in plugins.names("families")
    for architecture in plugins.load("families", name).FAMILY.architectures
}
# {architecture: name of its config}, the first of several.
ARCHITECTURES: dict[str, str] = {
    name: kind
    for kind, name in [
        *reversed(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.items()),
        *reversed(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items()),
    ]
    if isinstance(name, str)
    and (name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values() or name in DECLARED)
}
# Put in where the config has such a key; windows are shorter than the longest sample.
SIZES: dict[str, Any] = {
    "hidden_size": 16, "d_model": 16, "intermediate_size": 24, "ffn_dim": 24, "n_inner": 24,
    "ffn_hidden_size": 24, "decoder_ffn_dim": 24, "moe_intermediate_size": 6,
    "shared_expert_intermediate_size": 6, "word_embed_proj_dim": 16, "embedding_size": 16,
    "num_hidden_layers": 2, "num_layers": 2, "decoder_layers": 2, "n_layers": 2,
    "num_attention_heads": 4, "num_heads": 4, "decoder_attention_heads": 4, "n_heads": 4,
    "num_key_value_heads": 2, "head_dim": 4, "rotary_dim": 4, "vocab_size": VOCAB,
    "max_position_embeddings": 64, "max_seq_len": 64, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2, "sliding_window": 5, "attention_window": 5, "window_size": 5,
    "num_experts": 5, "num_local_experts": 5, "n_routed_experts": 5, "moe_num_experts": 5,
    "num_experts_per_tok": 2, "moe_k": 2, "n_group": 1, "topk_group": 1,
    "num_shared_experts": 1, "moe_num_shared_experts": 1, "n_shared_experts": 1,
    "first_k_dense_replace": 1, "moe_layer_start_index": 1, "q_lora_rank": 8, "kv_lora_rank": 8,
    "qk_nope_head_dim": 4, "qk_rope_head_dim": 4, "v_head_dim": 4, "index_topk": 64,
    "index_n_heads": 2, "index_head_dim": 4, "router_jitter_noise": 0.0, "input_jitter_noise": 0.0,
    "hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": VOCAB, "is_decoder": True,
}  # fmt: skip
LATENT = {"num_key_value_heads": 4}
# What the sizes above do not reach, or what a default would leave without effect.
OWN: dict[str, dict[str, Any]] = {
    "AXK1ForCausalLM": LATENT,
    "AXK2ForCausalLM": LATENT,
    "BailingHybridForCausalLM": LATENT,
    "Cohere2ForCausalLM": {"logit_scale": 0.5},
    "CohereForCausalLM": {"logit_scale": 0.5},
    "DeepseekV2ForCausalLM": LATENT,
    "DeepseekV32ForCausalLM": LATENT,
    "DeepseekV3ForCausalLM": LATENT,
    "GPTNeoForCausalLM": {"attention_types": [[["global", "local"], 1]]},
    "Glm4MoeLiteForCausalLM": LATENT,
    "GlmMoeDsaForCausalLM": LATENT,
    "GraniteForCausalLM": {"logits_scaling": 3.0, "residual_multiplier": 0.5},
    "GraniteMoeForCausalLM": {"logits_scaling": 3.0},
    "HyperCLOVAXForCausalLM": {"logits_scaling": 0.5},
    "KimiLinearForCausalLM": LATENT,
    "LongcatFlashForCausalLM": LATENT,
    "MiniCPM3ForCausalLM": LATENT | {"dim_model_base": 8},
    "NanoChatForCausalLM": {"final_logit_softcapping": 2.0},
    "YoutuForCausalLM": LATENT,
}
TEXT = {key: SIZES[key] for key in (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "vocab_size", "max_position_embeddings",
)} | {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}  # fmt: skip
VISION = {
    "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1,
    "head_dim": 8, "image_size": 8, "patch_size": 4,
}  # fmt: skip
LARGEST = 5_000_000


def tiny_architecture(name: str, *, random: bool = True) -> Any:
    """A model in float64 and evaluation mode.

    Args:
        name: architecture.
        random: False leaves out the weights.

    Raises:
        Exception: of any kind, where these sizes do not make a config or model.
    """
    torch.manual_seed(0)
    cls: Any = getattr(transformers, name)
    config = _config(cls, CONFIG_MAPPING[ARCHITECTURES[name]], OWN.get(name, {}))
    with torch.device("meta"):
        size = sum(p.numel() for p in cls(config).parameters())
    if size > LARGEST:
        raise ValueError(f"{size} weights")
    family = DECLARED.get(name)
    wanted = plugins.load("families", family).FAMILY.attention if family else "eager"
    model = cls._from_config(config, attn_implementation=wanted)
    model.config.get_text_config()._experts_implementation = "eager"
    model = model.double().eval().requires_grad_(False)
    for key, parameter in model.named_parameters():
        _fill(key, parameter)
    return model


def _config(cls: Any, kind: Any, own: dict[str, Any]) -> Any:
    kind = cls.config_class or kind
    default = kind()
    if hasattr(default, "text_config") and hasattr(default, "vision_config"):
        return kind(text_config=_small_part(default.text_config, TEXT),
                    vision_config=_small_part(default.vision_config, VISION))  # fmt: skip
    known = {*default.to_dict(), *kind.attribute_map}
    wanted = {k: v for k, v in SIZES.items() if k in known}
    for key, entries in (("layer_types", 2), ("mlp_layer_types", 2)):
        if isinstance(getattr(default, key, None), list) and key in kind.__dataclass_fields__:
            kinds = list(dict.fromkeys(getattr(default, key)))
            wanted[key] = (kinds * entries)[:entries]
    for key in ("sliding_window", "attention_window", "q_lora_rank"):
        if getattr(default, key, None) is None:
            wanted.pop(key, None)
    return kind(**wanted | own)


def _small_part(default: Any, sizes: dict[str, Any]) -> dict[str, Any]:
    known = default.to_dict()
    small: dict[str, Any] = {k: v for k, v in sizes.items() if k in known}
    if known.get("layer_types"):
        small |= {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 5}
    return {"model_type": default.model_type} | small


def _fill(key: str, parameter: Any) -> None:
    """Random weights, biases and norms, so that one in the wrong place is seen."""
    with torch.no_grad():
        if parameter.dim() > 1:
            parameter.normal_(std=0.4)
        elif key.endswith("bias"):
            parameter.normal_(std=0.3)
        else:
            # A norm that adds 1 to its weight begins with weights of 0.
            centred = not parameter.any()
            parameter.uniform_(*((-0.5, 0.5) if centred else (0.5, 1.5)))


class _Float64(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.float:
            func = torch.Tensor.double
        kwargs = {k: _wider(v) for k, v in (kwargs or {}).items()}
        if func is torch.full:  # XGLM: the least number, of a type that is not named
            kwargs.setdefault("dtype", torch.float64)
        return func(*(_wider(value) for value in args), **kwargs)


def _wider(value: Any) -> Any:
    return torch.float64 if value is torch.float32 else value


@contextmanager
def in_float64() -> Iterator[None]:
    """Code that asks for float32 gets float64."""
    with _Float64():
        yield
