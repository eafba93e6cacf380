"""Token by token over padded batches equals one forward pass per token, and greedy generation."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from caploc.forward.recall import Recall, recall
from caploc.models.language_model import LanguageModel
from caploc.models.loading import load_model
from caploc.models.tokens import encode
from caploc.records import Dropped

PROMPTS = ["one + two =", "a b c d e f g", "a", "one two three four", "b a"]


@pytest.fixture
def lm(save_model: Callable[..., Path]) -> LanguageModel:
    return load_model(save_model(), dtype="float64")


def test_equal_to_one_pass_per_token(lm: LanguageModel) -> None:
    answers = [" three", " h i j", " b ?", " one two three", " a"]
    for found, prompt, answer in zip(
        recall(lm, PROMPTS, answers, batch=2), PROMPTS, answers, strict=True
    ):
        ids, gold = encode(lm.tokenizer, prompt, answer)
        probability, right = 1.0, True
        for m, token in enumerate(gold):
            logits = lm.model(torch.tensor([[*ids, *gold[:m]]])).logits[0, -1]
            probability *= float(torch.softmax(logits, -1)[token])
            right = right and int(logits.argmax()) == token
        assert isinstance(found, Recall)
        assert found.probability == pytest.approx(probability, rel=1e-6)
        assert found.correct is right


def test_the_most_probable_word_is_correct_and_nothing_else(lm: LanguageModel) -> None:
    best = []
    for prompt in PROMPTS:
        ids, _ = encode(lm.tokenizer, prompt, " a")
        token = int(lm.model(torch.tensor([ids])).logits[0, -1].argmax())
        best.append(" " + lm.tokenizer.decode([token]))
    found = recall(lm, PROMPTS, best)
    assert all(isinstance(r, Recall) and r.correct for r in found)
    wrong = [" j" if word != " j" else " i" for word in best]
    assert not any(isinstance(r, Recall) and r.correct for r in recall(lm, PROMPTS, wrong))
    # a right first token does not make a wrong second one right
    two = [f"{word} j j j" for word in best]
    assert not any(isinstance(r, Recall) and r.correct for r in recall(lm, PROMPTS, two))


def test_prompts_that_cannot_be_asked_keep_their_place(lm: LanguageModel) -> None:
    found = recall(lm, ["a", "a " * 40, "b"], ["", " b", " c"])
    assert [str(r) for r in found if isinstance(r, Dropped)] == [
        "no answer tokens", "does not fit the context of 32 tokens",
    ]  # fmt: skip
    assert isinstance(found[2], Recall)
    assert recall(lm, [], []) == []
