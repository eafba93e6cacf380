"""A model for which a shortcut is wrong is refused, not approximated."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny_families import tiny
from tiny_models import tiny_gptj, tiny_llama, tiny_olmo2
from torch import nn

from caploc.attribution.model_check import check_model
from caploc.attribution.prefix_attention import Prefix
from caploc.models.families import llama
from caploc.models.language_model import LanguageModel
from caploc.records import DataError


@pytest.mark.parametrize("make", [tiny_llama, tiny_gptj])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_known_families_pass(make: Any, dtype: torch.dtype) -> None:
    lm = make()
    lm.model.to(dtype)
    check_model(lm)


def test_injection_is_chosen_by_what_the_blocks_do() -> None:
    assert [check_model(m) for m in (tiny_llama(), tiny_gptj(), tiny_olmo2())] == [
        True,
        True,
        False,
    ]
    assert not check_model(tiny_llama(), "pre")


class _Scaled(nn.Module):
    """A projection whose result the block would scale."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) * 0.5


def test_scaled_residual_needs_generic_injection() -> None:
    lm = tiny_llama()
    # The named projection is the inner one, its output is halved on its way to the residual.
    lm.blocks[2].mlp.down_proj = _Scaled(lm.blocks[2].mlp.down_proj)
    family = replace(llama.FAMILY, ffn_out="mlp.down_proj.inner")
    for layer in (0, 1, 3):
        lm.blocks[layer].mlp.down_proj = _Passed(lm.blocks[layer].mlp.down_proj)
    lm = LanguageModel(lm.model, None, family, 4, 24)
    assert not check_model(lm)


class _Passed(_Scaled):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


def test_scaled_logits_are_refused() -> None:
    lm = tiny_llama()
    lm.model.register_forward_hook(_halve_logits)
    with pytest.raises(DataError, match="its logits are not the head applied"):
        check_model(lm)


def test_a_window_is_seen_where_no_family_names_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block that hides its window from the attention interface; six tokens would not show it."""
    lm = tiny("Mistral", sliding_window=9)
    mask = Prefix.mask
    monkeypatch.setattr(Prefix, "mask", lambda self, window: mask(self, None))
    check_model(lm)
    monkeypatch.setattr(LanguageModel, "tried", True)
    with pytest.raises(DataError, match="rows with the shared prefix"):
        check_model(tiny("Mistral", sliding_window=9))


def _halve_logits(module: Any, args: Any, output: Any) -> Any:
    output.logits = output.logits / 2
    return output


def test_attention_with_what_is_not_known_is_refused() -> None:
    lm = tiny_llama()
    original = lm.blocks[0].self_attn.forward
    config = lm.model.config

    def biased(*args: Any, **settings: Any) -> Any:
        ours = config._attn_implementation.startswith("caploc")
        return original(*args, **settings, position_bias=3 if ours else None)

    lm.blocks[0].self_attn.forward = biased
    with pytest.raises(DataError, match="attention with position_bias is not supported"):
        check_model(lm)
    lm = tiny_llama()
    lm.blocks[1].self_attn.is_causal = False
    with pytest.raises(DataError, match="LlamaAttention: attention to later tokens is not"):
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


class _Remembers(nn.Module):
    """An FFN projection whose output depends on the rows before."""

    def __init__(self, inner: nn.Linear) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) + x.cumsum(1).mean(-1, keepdim=True)


def test_block_that_mixes_rows_is_refused() -> None:
    lm = tiny_olmo2()
    mlp = lm.blocks[1].mlp
    mlp.down_proj = _Remembers(mlp.down_proj)
    family = replace(llama.FAMILY, ffn_out="mlp.down_proj.inner")
    for layer in (0, 2):
        lm.blocks[layer].mlp.down_proj = _Passed(lm.blocks[layer].mlp.down_proj)
    with pytest.raises(DataError, match="rows with the shared prefix"):
        check_model(LanguageModel(lm.model, None, family, 3, 24))
