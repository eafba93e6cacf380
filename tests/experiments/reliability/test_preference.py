"""Measures of edited models against slow and obvious computations."""

import math

import numpy as np
import pytest
import torch
from tiny_models import ids, tiny_llama

from caploc.experiments.reliability._preference import log_probabilities, ngram_entropy
from caploc.forward.generation import continue_text


def test_log_probabilities_are_means_over_answer_tokens():
    lm = tiny_llama()
    prompts, answers = [ids(5, 1), ids(3, 2), ids(6, 3)], [ids(1, 4), ids(3, 5), ids(2, 6)]
    found = log_probabilities(lm, prompts, answers)
    for prompt, answer, value in zip(prompts, answers, found, strict=True):
        each = []
        for m, target in enumerate(answer):
            logits = lm.model(input_ids=torch.tensor([[*prompt, *answer[:m]]])).logits[0, -1]
            each.append(torch.log_softmax(logits, -1)[target].item())
        assert value == pytest.approx(np.mean(each), rel=1e-9)


def test_entropy_of_texts_by_hand():
    assert ngram_entropy([[1, 1, 1, 1]]) == 0
    # bigrams 12, 23, 31 and trigrams 123, 231: uniform
    expected = (2 / 3 * math.log2(3) + 4 / 3 * 1) / 2
    assert ngram_entropy([[1, 2, 3, 1]]) == pytest.approx(expected)
    # bigrams 12 twice, 21 once
    p = np.array([2, 1]) / 3
    bigrams = -(p * np.log2(p)).sum()
    assert ngram_entropy([[1, 2, 1, 2], [5, 5]]) == pytest.approx((2 / 3 * bigrams + 4 / 3) / 2 / 2)
    assert ngram_entropy([]) == 0


def test_continuations_are_seeded_and_among_the_likeliest():
    lm = tiny_llama()
    prompts = [ids(4, 1), ids(7, 2)]

    def drawn(seed, without=()):
        return continue_text(lm, prompts, 5, torch.Generator().manual_seed(seed), without)

    found = drawn(3)
    assert found == drawn(3)
    assert found != drawn(4)
    assert not any(token in found[0] for text in drawn(3, found[0]) for token in text)
    for prompt, text in zip(prompts, found, strict=True):
        assert len(text) == 5
        for m, token in enumerate(text):
            logits = lm.model(input_ids=torch.tensor([[*prompt, *text[:m]]])).logits[0, -1]
            assert token in logits.topk(5).indices
