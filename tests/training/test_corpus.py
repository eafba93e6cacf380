import random
from collections import Counter

import pytest

from caploc import plugins
from caploc.records import DataError
from caploc.training.corpus import draw_corpus
from caploc.training.tokenizer import build_tokenizer

MIXTURE = {"word_problems": 3, "facts": 1, "neutral": 2}


def test_shares_and_sizes():
    corpus = draw_corpus(MIXTURE, steps=20, batch=12, seed=0)
    assert [len(batch) for batch in corpus] == [12] * 20
    assert Counter(t.task for b in corpus for t in b) == {
        "word_problems": 120, "facts": 40, "neutral": 80,
    }  # fmt: skip
    assert all(Counter(t.task for t in b)["word_problems"] == 6 for b in corpus)


def test_seeded():
    one, same, other = (draw_corpus(MIXTURE, 3, 10, seed) for seed in (0, 0, 1))
    assert one == same
    assert one != other


def test_another_task_in_the_mixture_does_not_change_what_is_drawn_of_a_task():
    def drawn(mixture):
        corpus = draw_corpus(mixture, 10, 12, 0)
        return [t for batch in corpus for t in batch if t.task == "facts"][:10]

    assert drawn({"facts": 1}) == drawn({"facts": 1, "reviews": 1})


def test_only_text_learns_its_prompts():
    corpus = draw_corpus({"facts": 1, "neutral": 1, "reviews": 1}, 1, 30, 0)
    assert {(t.task, t.learns_prompt) for t in corpus[0]} == {
        ("facts", False), ("neutral", True), ("reviews", False),
    }  # fmt: skip


def test_tasks_without_generator_are_refused():
    with pytest.raises(DataError, match="task 'GSM8K' has no generator, so no model can be"):
        draw_corpus({"gsm8k": 1}, 1, 1, 0)
    with pytest.raises(DataError, match="all samples of task 'Past tense' are for evaluation"):
        draw_corpus({"past_tense": 1}, 1, 1, 0)


def is_trained(task):
    """Some of its samples are for training; those of English are all for evaluation."""
    if task.generate is None:
        return False
    rng = random.Random(0)
    drawn = [task.generate(rng) for _ in range(50)]
    return not all(task.is_held_out(prompt, meta) for prompt, _, meta in drawn)


def test_a_training_vocabulary_knows_every_held_out_sample():
    names = [n for n in plugins.names("tasks") if is_trained(plugins.load("tasks", n).TASK)]
    assert len(names) == 12
    corpus = draw_corpus(dict.fromkeys(names, 1), 100, 160, 0)
    tokenizer = build_tokenizer((p for b in corpus for t in b for p in (t.prompt, t.answer)), 128)
    for name in names:
        task = plugins.load("tasks", name).TASK
        rng = random.Random(5)
        for _ in range(1000):
            prompt, answer, _ = task.generate(rng)
            ids = tokenizer(prompt + answer)["input_ids"]
            assert tokenizer.unk_token_id not in ids, (prompt, answer)
            assert len(ids) <= 80
