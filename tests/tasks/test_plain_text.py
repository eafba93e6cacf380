import pytest

from caploc.records import Dropped
from caploc.tasks.plain_text import TASK


def test_prompt_and_answer_are_the_text_without_loss():
    text = " ".join(f"word{i}" for i in range(30))
    prompt, answer, _ = TASK.to_sample({"text": text})
    assert prompt + answer == text
    assert prompt.endswith("word19")
    assert answer.startswith(" word20")


def test_long_text_is_cut_after_48_words_and_line_breaks_stay():
    text = "first\n\n" + " ".join(f"w{i}" for i in range(100))
    prompt, answer, _ = TASK.to_sample({"text": text})
    assert len((prompt + answer).split()) == 48
    assert prompt.startswith("first\n\nw0")


def test_short_text_is_dropped():
    with pytest.raises(Dropped, match="fewer than 12 words"):
        TASK.to_sample({"text": "too short"})


def test_score():
    assert TASK.score(" a small lamp", "a small  lamp")
    assert not TASK.score(" a small lamp", "")
