"""Edge scores against plain autograd on a decoder whose edges are all spelled out."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from split_decoder import SplitDecoder
from tiny_models import ids, tiny_gptj, tiny_llama

from caploc.locators import circuit
from caploc.locators._edge_scores import score_edges
from caploc.models._language_model import LanguageModel

MODELS: dict[str, Callable[[], LanguageModel]] = {
    "llama": lambda: tiny_llama(n_layers=3),
    "llama, one key/value head": lambda: tiny_llama(n_layers=2, kv_heads=1, attention_bias=True),
    "gptj": lambda: tiny_gptj(exact=True),
}
SETTINGS: dict[str, Any] = {"batch_tokens": 10**6, "chunk_values": 10**9}


@pytest.fixture(params=MODELS)
def lm(request: pytest.FixtureRequest) -> LanguageModel:
    return MODELS[request.param]()


def prompts(n_answer: int) -> tuple[list[int], list[int], list[int]]:
    clean = ids(5, seed=1)
    return clean, [clean[0], *ids(2, seed=5), *clean[3:]], ids(n_answer, seed=2)


def test_the_decoder_of_this_test_is_the_model(lm: LanguageModel) -> None:
    clean, *_ = prompts(1)
    split = SplitDecoder(lm)
    theirs = lm.model(input_ids=torch.tensor([clean]), use_cache=False).logits[0]
    torch.testing.assert_close(split.logits(clean), theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("n_answer", [1, 2])
def test_one_step_is_difference_times_gradient(lm: LanguageModel, n_answer: int) -> None:
    clean, corrupt, answer = prompts(n_answer)
    expected = SplitDecoder(lm).one_step(clean, corrupt, answer)
    found = score_edges(lm, clean, corrupt, answer, rule="right", steps=1, **SETTINGS)
    graph = circuit.graph_of(lm)
    assert graph.n_edges == len(expected) == len(found.scores)
    np.testing.assert_allclose(found.scores, expected, rtol=1e-8, atol=1e-12)
    split = SplitDecoder(lm)
    assert found.clean == pytest.approx(split.metric(clean, answer).item(), rel=1e-9)
    assert found.corrupt == pytest.approx(split.metric(corrupt, answer).item(), rel=1e-9)


def test_incoming_edges_sum_to_difference_times_path_mean_gradient(lm: LanguageModel) -> None:
    clean, corrupt, answer = prompts(2)
    expected = SplitDecoder(lm).reader_totals(clean, corrupt, answer, [0.125, 0.375, 0.625, 0.875])
    found = score_edges(lm, clean, corrupt, answer, rule="midpoint", steps=4, **SETTINGS)
    totals = circuit.graph_of(lm).grid(found.scores.numpy()).sum(1)
    np.testing.assert_allclose(totals, expected, rtol=1e-8, atol=1e-12)


def test_chunks_change_rounding_only(lm: LanguageModel) -> None:
    clean, corrupt, answer = prompts(2)
    whole = score_edges(lm, clean, corrupt, answer, rule="right", steps=5, **SETTINGS)
    for small in ({"batch_tokens": 12}, {"chunk_values": 1}, {"chunk_values": 400}):
        part = score_edges(lm, clean, corrupt, answer, rule="right", steps=5, **SETTINGS | small)
        np.testing.assert_allclose(part.scores, whole.scores, rtol=1e-9, atol=1e-13)


def test_edges_out_of_the_embedding_add_up(lm: LanguageModel) -> None:
    clean, corrupt, answer = prompts(1)
    found = score_edges(lm, clean, corrupt, answer, rule="gauss-legendre", steps=60, **SETTINGS)
    total = circuit.graph_of(lm).grid(found.scores.numpy())[:, 0].sum()
    assert total == pytest.approx(found.clean - found.corrupt, rel=1e-4)
