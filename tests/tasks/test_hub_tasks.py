"""The paper's five data sets, on rows built by hand in the schema of the hub."""

import pytest

from caploc.records import DataError, Dropped
from caploc.tasks import code25k, emotion, gsm8k, imdb, meta_math

GSM8K = {"question": "How many?", "answer": "2 * 3 = <<2*3=6>>6 eggs.\n#### 6"}
META = {
    "type": "GSM_Rephrased", "query": "How much?", "original_question": "How many?",
    "response": "It is 5 + 5 = 10.\n#### 10\nThe answer is: 10",
}  # fmt: skip


def test_gsm8k():
    prompt, answer, meta = gsm8k.TASK.to_sample(GSM8K)
    assert prompt == "Question: How many?\nAnswer:"
    assert answer == " 2 * 3 = <<2*3=6>>6 eggs.\n#### 6"
    assert meta == {"number": "6"}
    assert gsm8k.TASK.score(answer, answer)
    assert gsm8k.TASK.score(answer, "by magic\n#### $6.00")
    assert not gsm8k.TASK.score(answer, "The answer is 6")
    assert not gsm8k.TASK.score(answer, "#### 7")


def test_gsm8k_without_a_result_is_dropped():
    with pytest.raises(Dropped, match="no number after ####"):
        gsm8k.TASK.to_sample({"question": "q", "answer": "six"})


def test_meta_math():
    prompt, answer, meta = meta_math.TASK.to_sample(META)
    assert prompt == "Question: How much?\nAnswer:"
    assert meta == {"result": "10"}
    assert meta_math.TASK.score(answer, "so\nThe answer is: 10.0")
    assert meta_math.TASK.score(answer, "The answer is 9? No. The answer is 10.")
    assert not meta_math.TASK.score(answer, "#### 10")
    assert not meta_math.TASK.score(answer, "The answer is: 11")


@pytest.mark.parametrize(
    ("gold", "given", "same"),
    [
        (r"\frac{1}{2}", r"\frac{1}{2}", True),
        (r"\frac{1}{2}", r"\frac{1}{3}", False),
        ("1,000", "1000", True),
        ("x = 3", "3", False),
        ("50%", "50", True),
    ],
)
def test_meta_math_compares_numbers_or_text(gold, given, same):
    score = meta_math.TASK.score
    assert score(f"The answer is: {gold}", f"The answer is: {given}") is same


def test_meta_math_rows_with_another_result_are_dropped():
    row = META | {"expected": "12"}
    with pytest.raises(Dropped, match="ends in another result"):
        meta_math.TASK.to_sample(row)
    assert meta_math.TASK.to_sample(META | {"expected": "10.0"})
    with pytest.raises(Dropped, match="no result after"):
        meta_math.TASK.to_sample(META | {"response": "I give up"})
    value = META | {"response": "So x = 25.\nThe value of x is 25."}
    assert meta_math.TASK.to_sample(value)[2] == {"result": "25"}


@pytest.mark.parametrize("label", [0, "0", "sadness", "Sadness "])
def test_emotion_labels(label):
    prompt, answer, meta = emotion.TASK.to_sample({"text": "i feel low", "label": label})
    assert (prompt, answer) == ("Text: i feel low\nEmotion:", " sadness")
    assert meta == {"label": "sadness"}
    assert emotion.TASK.score(answer, " Sadness\nText: more")
    assert not emotion.TASK.score(answer, " joy")


def test_unknown_labels_name_the_choices():
    with pytest.raises(DataError, match="unknown label '6'; expected 0 to 5 or one of sadness"):
        emotion.TASK.to_sample({"text": "x", "label": 6})


def test_imdb():
    row = {"text": "Good<br /><br />film.", "label": 1}
    assert imdb.TASK.to_sample(row)[:2] == ("Review: Good film.\nSentiment:", " positive")
    with pytest.raises(Dropped, match="no label"):
        imdb.TASK.to_sample(row | {"label": -1})


def test_code25k():
    row = {
        "instruction": "Double a number", "input": "",
        "output": "```python\ndef f(n):\n    return 2 * n\n```", "text": "...",
    }  # fmt: skip
    prompt, answer, _ = code25k.TASK.to_sample(row)
    assert prompt == "Instruction: Double a number\nCode:\n"
    assert answer == "def f(n):\n    return 2 * n"
    score = code25k.TASK.score
    assert score(answer, "```python\ndef f(n): return 2*n\n```")
    assert score(answer, answer + "\n")
    assert not score(answer, "def g(n):\n    return 2 * n")
    assert "Input: 7" in code25k.TASK.to_sample(row | {"input": "7"})[0]
    del row["input"]
    assert code25k.TASK.to_sample(row)[0] == prompt
