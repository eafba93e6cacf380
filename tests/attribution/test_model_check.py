"""A model for which a shortcut is wrong is refused, not approximated."""

from typing import Any

import pytest
import torch
from tiny_models import tiny_gptj, tiny_llama
from torch import nn
from transformers import Olmo2Config, Olmo2ForCausalLM

from caploc.attribution.engine import attribute
from caploc.attribution.model_check import check_model
from caploc.models import llama
from caploc.models._language_model import LanguageModel
from caploc.records import DataError


@pytest.mark.parametrize("make", [tiny_llama, tiny_gptj])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_known_families_pass(make: Any, dtype: torch.dtype) -> None:
    lm = make()
    lm.model.to(dtype)
    check_model(lm)


def test_norm_behind_the_ffn_is_refused() -> None:
    torch.manual_seed(0)
    config = Olmo2Config(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        vocab_size=37, max_position_embeddings=64,
    )  # fmt: skip
    model = Olmo2ForCausalLM._from_config(config, attn_implementation="sdpa").eval()
    model.requires_grad_(False)
    # The module names are those of Llama, so only the check can tell.
    lm = LanguageModel(model, None, llama.FAMILY, 2, 24)
    with pytest.raises(DataError, match=r"block 0 does not add the output of mlp\.down_proj"):
        attribute(lm, [[1, 2]], [[3]])


class _Scaled(nn.Module):
    """A projection whose result the block would scale."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) * 0.5


def test_scaled_residual_is_refused() -> None:
    lm = tiny_llama()
    # The named projection is the inner one, its output is halved on its way to the residual.
    lm.blocks[2].mlp.down_proj = _Scaled(lm.blocks[2].mlp.down_proj)
    family = type(llama.FAMILY)(
        **{f: getattr(llama.FAMILY, f) for f in llama.FAMILY.__slots__}
        | {"ffn_out": "mlp.down_proj.inner"}
    )
    for layer in (0, 1, 3):
        lm.blocks[layer].mlp.down_proj = _Passed(lm.blocks[layer].mlp.down_proj)
    lm = LanguageModel(lm.model, None, family, 4, 24)
    with pytest.raises(DataError, match="block 2 does not add the output"):
        check_model(lm)


class _Passed(_Scaled):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


def test_scaled_logits_are_refused() -> None:
    lm = tiny_llama()
    lm.model.register_forward_hook(_halve_logits)
    with pytest.raises(DataError, match="its logits are not the head applied"):
        check_model(lm)


def _halve_logits(module: Any, args: Any, output: Any) -> Any:
    output.logits = output.logits / 2
    return output


def test_attention_with_a_window_is_refused() -> None:
    lm = tiny_llama()
    original = lm.blocks[0].self_attn.forward
    lm.blocks[0].self_attn.forward = lambda *a, **k: original(*a, **k, sliding_window=3)
    with pytest.raises(DataError, match="attention with sliding_window is not supported"):
        check_model(lm)


def test_wrong_attention_is_refused() -> None:
    # A block that counts positions itself, instead of taking those it is given.
    lm = tiny_llama()
    rotary = lm.model.model.rotary_emb
    attention = lm.blocks[1].self_attn
    original = attention.forward

    def forward(hidden_states: torch.Tensor, **settings: Any) -> Any:
        n = hidden_states.shape[1]
        settings["position_embeddings"] = rotary(hidden_states, torch.arange(n)[None])
        return original(hidden_states, **settings)

    attention.forward = forward
    with pytest.raises(DataError, match="rows with the shared prefix"):
        check_model(lm)


def test_failed_check_is_repeated() -> None:
    lm = tiny_llama()
    handle = lm.model.register_forward_hook(_halve_logits)
    for _ in range(2):
        with pytest.raises(DataError):
            check_model(lm)
    handle.remove()
    check_model(lm)
