"""Causal tracing against running the whole model once per cell; and text in, effects out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_families import FAMILIES, softmax_in_float64
from tiny_models import ids, tiny_gptj, tiny_llama
from torch import Tensor

from caploc.forward.subject import Tokens
from caploc.locators import rome
from caploc.locators._restoration import KINDS, restore_cells, window_of
from caploc.models.language_model import LanguageModel
from caploc.models.loading import load_model
from caploc.records import DataError, Dropped, Sample


def gptj_in_float64() -> LanguageModel:
    """GPT-J casts its scores to float32; this attention does not."""
    lm = tiny_gptj(exact=False)
    for block in lm.blocks:
        scale = block.attn.scale_attn

        def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: Tensor = scale) -> Any:
            return torch.softmax(q @ k.transpose(-1, -2) / scale + mask, -1) @ v, None

        block.attn._attn = attend
    return lm


MODELS: dict[str, tuple[Callable[[], LanguageModel], dict[str, str]]] = {
    "llama": (lambda: tiny_llama(), {"attention": "self_attn", "ffn": "mlp"}),
    "gptj": (gptj_in_float64, {"attention": "attn", "ffn": "mlp"}),
}


def probability(
    lm: LanguageModel, tokens: Tokens, noise: Tensor, changes: dict[Any, Tensor], token: int
) -> tuple[float, dict[Any, Tensor]]:
    """P from a whole forward pass for each answer token, and the states of its first row.

    `changes` maps a module to the state that replaces its output at `token`.
    """
    seen: dict[Any, Tensor] = {}

    def hook(module: Any, args: Any, output: Any) -> Any:
        state = output[0] if isinstance(output, tuple) else output
        rows = state.clone().view(len(noise), -1, state.shape[-1])
        seen[module] = rows[0].clone()
        if module in changes:
            rows[:, token] = changes[module]
            state = rows.view(state.shape)
            return (state, *output[1:]) if isinstance(output, tuple) else state
        return None

    modules = [m for b in lm.blocks for m in (b, *(b.get_submodule(p) for p in PATHS))]
    handles = [m.register_forward_hook(hook) for m in modules]
    values = []
    try:
        for m, target in enumerate(tokens.answer):
            read = torch.tensor([[*tokens.prompt, *tokens.answer[:m]]])
            embedded = lm.model.get_input_embeddings()(read).repeat(len(noise), 1, 1)
            embedded[:, tokens.first : tokens.last + 1] += noise
            logits = lm.model(inputs_embeds=embedded, use_cache=False).logits[:, -1]
            values.append(torch.softmax(logits, -1)[:, target].mean().item())
    finally:
        for handle in handles:
            handle.remove()
    return float(np.mean(values)), seen


PATHS: list[str] = []


def whole_runs(
    lm: LanguageModel,
    tokens: Tokens,
    noise: Tensor,
    window: int,
    paths: dict[str, str],
    layers: tuple[int, ...] = (),
) -> tuple[float, float, np.ndarray]:
    """The definition: (clean, corrupted, restored (kind, token, layer)), nothing shared.

    Only some layers, if they are named.
    """
    PATHS[:] = paths.values()
    silent = torch.zeros_like(noise[:1])
    clean, states = probability(lm, tokens, silent, {}, 0)
    corrupted, _ = probability(lm, tokens, noise, {}, 0)
    restored = np.full((len(KINDS), len(tokens.prompt), lm.n_layers), np.nan)
    for k, kind in enumerate(KINDS):
        for token in range(len(tokens.prompt)):
            for layer in layers or range(lm.n_layers):
                if kind == "residual":
                    modules = [lm.blocks[layer]]
                else:
                    first, last = layer - window // 2, layer + (window - 1) // 2
                    inside = [b for i, b in enumerate(lm.blocks) if first <= i <= last]
                    modules = [b.get_submodule(paths[kind]) for b in inside]
                changes = {m: states[m][token] for m in modules}
                restored[k, token, layer], _ = probability(lm, tokens, noise, changes, token)
    return clean, corrupted, restored


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("first", "last", "n_answer", "window"), [(0, 1, 1, 4), (2, 2, 3, 3), (4, 5, 1, 1)]
)
def test_equals_whole_runs(name: str, first: int, last: int, n_answer: int, window: int) -> None:
    build, paths = MODELS[name]
    lm = build()
    tokens = Tokens(ids(6, seed=1), ids(n_answer, seed=2), first, last)
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=(3, last - first + 1, 16)))
    with torch.no_grad():
        clean, corrupted, restored = whole_runs(lm, tokens, noise, window, paths)
    for batch_tokens in (10**6, 1):
        found = restore_cells(lm, tokens, noise, window=window, batch_tokens=batch_tokens)
        assert found.clean == pytest.approx(clean, rel=1e-9)
        assert found.corrupted == pytest.approx(corrupted, rel=1e-9)
        np.testing.assert_allclose(found.restored, restored, rtol=1e-9)
    only = restore_cells(lm, tokens, noise, window=window, batch_tokens=10**6, last_only=True)
    expected = np.full_like(restored, np.nan)
    expected[:, last] = restored[:, last]
    np.testing.assert_allclose(only.restored, expected, rtol=1e-9)
    # The map is not flat: a routine that restored nothing would fail.
    assert (np.ptp(restored[:, first:], axis=(1, 2)) > 1e-4).all()


@pytest.mark.parametrize("name", [n for n in FAMILIES if "rope" not in n and "plain" not in n])
def test_every_family(name: str) -> None:
    lm = FAMILIES[name]() if name != "gptj" else gptj_in_float64()
    tokens = Tokens(ids(7, seed=1), ids(1, seed=2), 1, 2)
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 2, 16)))
    paths = {"attention": lm.family.attention_out, "ffn": lm.family.ffn_out}
    layer = 1
    with softmax_in_float64(), torch.no_grad():
        clean, corrupted, restored = whole_runs(lm, tokens, noise, 2, paths, (layer,))
        found = restore_cells(lm, tokens, noise, window=2, batch_tokens=10**6)
    assert [found.clean, found.corrupted] == pytest.approx([clean, corrupted], rel=1e-8)
    np.testing.assert_allclose(found.restored[..., layer], restored[..., layer], rtol=1e-8)
    assert (np.ptp(restored[:, :, layer], axis=1) > 1e-5).all()


def test_gptj_with_its_own_casts() -> None:
    lm = tiny_gptj(exact=False)
    tokens = Tokens(ids(6, seed=1), ids(2, seed=2), 1, 2)
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 2, 16)))
    with torch.no_grad():
        _, _, restored = whole_runs(lm, tokens, noise, 3, MODELS["gptj"][1])
    found = restore_cells(lm, tokens, noise, window=3, batch_tokens=10**6)
    np.testing.assert_allclose(found.restored, restored, rtol=2e-6)


@pytest.fixture
def lm(save_model: Callable[..., Path]) -> LanguageModel:
    return load_model(save_model(), dtype="float64")


def fact(prompt: str, subject: str, answer: str = " three", name: str = "s") -> Sample:
    return Sample(name, prompt, answer, {"subject": subject})


def test_results_in_order_with_reasons(lm: LanguageModel) -> None:
    facts = [
        fact("a b one two =", "one two"),
        fact("a b one two =", "four"),
        fact("a b one two =", ""),
        Sample("none", "a b =", " c"),
        fact("one two =", "two", ""),
        fact("a " * 40, "a"),
        fact("a b", "a", " three four"),
        fact("a b a", "a"),
    ]
    results = rome.locate(lm, facts, window=2, noise_samples=3)
    assert [str(r) if isinstance(r, Dropped) else "" for r in results] == [
        "",
        "subject not found in the prompt",
        "no subject",
        "no subject",
        "no answer tokens",
        "does not fit the context of 32 tokens",
        "",
        "subject stands more than once in the prompt",
    ]
    first = results[0]
    assert isinstance(first, rome.Tracing)
    assert first.tokens == ("<s>", "a", "b", "one", "two", "=")
    assert first.subject == (3, 4)
    assert first.effects.shape == (3, 6, 3)
    assert not first.effects[:, :3].any()
    np.testing.assert_array_equal(first.scores, first.effects[1, 4])
    # Everything about the subject is back once the last token's last state is.
    gained = first.probability - first.probability_corrupted
    assert first.effects[0, 5, 2] == pytest.approx(gained, rel=1e-9)


def test_the_noise(lm: LanguageModel) -> None:
    facts = [fact("a one =", "one"), fact("b four = c", "four", " d")]
    spread = rome.embedding_spread(lm, [*facts, fact("a", "missing")])
    words = [lm.tokenizer.convert_tokens_to_ids(w) for w in ("one", "four")]
    expected = lm.model.get_input_embeddings().weight[words].numpy().std()
    assert spread == pytest.approx(expected, rel=1e-9)
    settings = {"window": 2, "noise_samples": 2}
    together = rome.locate(lm, facts, **settings)
    alone = rome.locate(lm, facts[1:], spread=spread, **settings)
    np.testing.assert_allclose(together[1].effects, alone[0].effects, rtol=1e-12)
    other = rome.locate(lm, facts[1:], spread=spread, seed=1, **settings)
    assert not np.allclose(alone[0].effects, other[0].effects)
    (silent,) = rome.locate(lm, facts[:1], noise=0.0, **settings)
    np.testing.assert_allclose(silent.effects, 0, atol=1e-15)
    with pytest.raises(ValueError, match="no sample has a subject"):
        rome.embedding_spread(lm, [])
    assert rome.locate(lm, [], **settings) == []


def test_bad_settings_and_a_family_without_names(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong in ({"noise": -1.0}, {"noise_samples": 0}, {"window": 0}):
        with pytest.raises(ValueError, match="must not be negative"):
            rome.locate(lm, [], **wrong)
    unnamed = LanguageModel(
        lm.model, lm.tokenizer, replace(lm.family, attention_out=""), lm.n_layers, lm.n_neurons
    )
    with pytest.raises(DataError, match="llama names no attention_out, which causal tracing needs"):
        rome.locate(unnamed, [fact("a", "a")])
    with pytest.raises(DataError, match="a window of 10 restores all 3 layers"):
        rome.locate(lm, [fact("a", "a")])


def test_select() -> None:
    scores = np.array([0.1, 0.3, -0.9, 0.3])
    np.testing.assert_array_equal(rome.select(scores), [False, True, False, False])
    np.testing.assert_array_equal(rome.select(scores, top=3), [True, True, False, True])
    for top in (0, 5):
        with pytest.raises(ValueError, match="between 1 and 4"):
            rome.select(scores, top)
    with pytest.raises(ValueError, match="not a finite number"):
        rome.select(np.array([np.nan, 1.0]))


@pytest.mark.parametrize("n_layers", [1, 6, 16])
@pytest.mark.parametrize("window", [1, 2, 3, 10])
def test_windows_are_those_of_the_public_code(n_layers: int, window: int) -> None:
    for layer in range(n_layers):
        public = range(max(0, layer - window // 2), min(n_layers, layer - (-window // 2)))
        assert window_of(layer, window, n_layers) == (public[0], public[-1])
