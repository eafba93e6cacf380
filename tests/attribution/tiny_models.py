"""Random models of a few thousand weights, in float64 throughout.

transformers computes some parts in float32 whatever the dtype (RMS norm, rotary tables, the scores
of GPT-J), which would hide errors below 1e-7; those parts are replaced for both computations.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    GPTJConfig,
    GPTJForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
)

from caploc.models.families import llama
from caploc.models.language_model import LanguageModel, wrap_model

VOCAB = 37


def tiny_llama(
    n_layers: int = 4, kv_heads: int = 2, seed: int = 0, **settings: Any
) -> LanguageModel:
    torch.manual_seed(seed)
    config = LlamaConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=n_layers, num_attention_heads=4,
        num_key_value_heads=kv_heads, vocab_size=VOCAB, max_position_embeddings=64,
        initializer_range=0.4, **settings,
    )  # fmt: skip
    model = LlamaForCausalLM._from_config(config, attn_implementation="sdpa").double()
    for module in model.modules():
        if type(module).__name__ == "LlamaRMSNorm":
            _in_float64(module)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return wrap_model(model)


def tiny_olmo2(n_layers: int = 3) -> LanguageModel:
    """A model with a norm behind the FFN; its modules are named as those of Llama."""
    torch.manual_seed(0)
    config = Olmo2Config(
        hidden_size=16, intermediate_size=24, num_hidden_layers=n_layers, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=VOCAB, max_position_embeddings=64, initializer_range=0.4,
    )  # fmt: skip
    model = Olmo2ForCausalLM._from_config(config, attn_implementation="sdpa").double().eval()
    model.requires_grad_(False)
    for module in model.modules():
        if type(module).__name__ == "Olmo2RMSNorm":
            _in_float64(module)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return LanguageModel(model, None, llama.FAMILY, n_layers, 24)


def tiny_gptj(seed: int = 0, exact: bool = True) -> LanguageModel:
    torch.manual_seed(seed)
    config = GPTJConfig(
        n_embd=16, n_inner=24, n_layer=3, n_head=2, rotary_dim=4, vocab_size=VOCAB,
        n_positions=64, initializer_range=0.4, embd_pdrop=0.1, attn_pdrop=0.1, resid_pdrop=0.1,
    )  # fmt: skip
    model = GPTJForCausalLM._from_config(config, attn_implementation="eager").double()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.3)
    if exact:
        for block in model.transformer.h:
            block.attn._attn = _attention_in_float64(block.attn)
    return wrap_model(model)


def ids(n: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, VOCAB, (n,), generator=generator).tolist()


def _in_float64(norm: Any) -> None:
    def forward(x: Tensor) -> Tensor:
        scale = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + norm.variance_epsilon)
        return norm.weight * (x * scale)

    norm.forward = forward


def _attention_in_float64(attention: Any) -> Any:
    def attend(query: Tensor, key: Tensor, value: Tensor, mask: Any = None) -> tuple[Tensor, None]:
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        # Queries are those of the last keys.
        n_rows, n_keys = scores.shape[-2:]
        future = torch.ones(n_rows, n_keys).triu(1 + n_keys - n_rows).bool()
        return torch.softmax(scores.masked_fill(future, -math.inf), -1) @ value, None

    return attend
