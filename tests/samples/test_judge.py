"""Completions of every form, right, nearly right and malformed."""

import pytest

from caploc.samples.judge import judge
from caploc.tasks import code_writing, emotions, neutral, word_problems


@pytest.mark.parametrize(
    ("task", "answer", "completion", "wanted"),
    [
        (word_problems, " 1 + 2 = 3\n#### 3", " 3\n#### 3", (1, 0, 1)),
        (word_problems, " 1 + 2 = 3\n#### 3", " so it is 3", (0, 0, 1)),
        (word_problems, " 1 + 2 = 3\n#### 3", " so it is 4", (0, 0, 0)),
        (word_problems, " 1 + 2 = 3\n#### 3", " apples", (0, 1, 0)),
        (emotions, " joy", " Joy!", (1, 0, None)),
        (emotions, " joy", " fear", (0, 0, None)),
        (emotions, " joy", " the the", (0, 1, None)),
        (emotions, " joy", "", (0, 1, None)),
        (neutral, " a bird slept.", " a bird slept.", (1, 0, None)),
        (neutral, " a bird slept.", "  ", (0, 1, None)),
    ],
)
def test_scores(task, answer, completion, wanted):
    found = judge(task.TASK, answer, completion)
    assert (found["accuracy"], found["malformed"], found.get("lenient")) == wanted


def test_programs():
    gold = "def f(n):\n    return n + 1"
    same = judge(code_writing.TASK, gold, gold)
    assert same == {"accuracy": 1, "parses": 1, "malformed": 0, "bleu": pytest.approx(1)}
    near = judge(code_writing.TASK, gold, "def f(n):\n    return n + 2")
    assert (near["accuracy"], near["parses"]) == (0, 1)
    assert 0.5 < near["bleu"] < 1
    broken = judge(code_writing.TASK, gold, "def f(n:")
    assert (broken["parses"], broken["malformed"]) == (0, 1)
    assert broken["bleu"] < near["bleu"]
