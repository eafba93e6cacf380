"""Only a model that can judge is asked, and only rewrites that mean the same both ways stay."""

from typing import Any

import pytest

from caploc.forward import own_rewrites
from caploc.forward.own_rewrites import examine, rewrite_facts
from caploc.forward.recall import Recall
from caploc.records import Fact


class Tokenizer:
    """Knows every word but those it is told not to know."""

    unk_token_id = 0

    def __init__(self, unknown: str = "") -> None:
        self.unknown = unknown

    def __call__(self, text: str, **_: Any) -> dict[str, list[Any]]:
        words = [0 if word == self.unknown else 1 for word in text.split()]
        n = len(words)
        spans = [(i, i + 1) for i in range(n)]
        return {"input_ids": words, "offset_mapping": spans, "special_tokens_mask": [0] * n}


class Model:
    """Judges by `same`, a function of the two sentences; writes what `writes` says."""

    def __init__(self, same: Any, writes: Any = None, unknown: str = "") -> None:
        self.tokenizer = Tokenizer(unknown)
        self.same, self.writes = same, writes


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    def recall(lm: Model, prompts: list[str], answers: list[str], batch: int) -> list[Recall]:
        found = []
        for prompt, answer in zip(prompts, answers, strict=True):
            asked = prompt.split("\n\n")[-1].split("\n")
            a, b = asked[0].removeprefix("First: "), asked[1].removeprefix("Second: ")
            found.append(Recall(True, 0.9 if lm.same(a, b) == (answer == " yes") else 0.1))
        return found

    def complete(lm: Model, prompts: list[str], answers: list[str], batch: int) -> Any:
        for i, prompt in enumerate(prompts):
            sentence = prompt.split("\n\n")[-1].split("\n")[0].removeprefix("Sentence: ")
            yield i, " " + lm.writes(sentence) + "\n"

    monkeypatch.setattr(own_rewrites, "recall", recall)
    monkeypatch.setattr(own_rewrites, "complete", complete)


def facts(n: int = 8) -> list[Fact]:
    relations = ("town", "pet")
    return [
        Fact(
            f"f{i}", f"Ann{i}", relations[i % 2], f"o{i}",
            (f"the {relations[i % 2]} of Ann{i} is", f"Ann{i} has as {relations[i % 2]}"),
        )
        for i in range(n)
    ]  # fmt: skip


def topic(text: str) -> str:
    return "town" if "town" in text else "pet"


def by_topic(a: str, b: str) -> bool:
    return topic(a) == topic(b)


def test_a_model_that_says_yes_to_everything_is_not_asked() -> None:
    reason = examine(Model(lambda a, b: True), facts())
    assert reason == "it judges only 8 of 8 known rewrites and 0 of 8 other questions right"
    assert examine(Model(lambda a, b: False), facts()).startswith("it judges only 0 of 8")


def test_a_model_that_can_judge_is_asked() -> None:
    assert examine(Model(by_topic), facts()) == ""


def test_unknown_words_and_too_few_pairs_are_reasons() -> None:
    assert examine(Model(by_topic, unknown="Guernica"), facts()) == (
        "its tokenizer does not know the words of the request"
    )
    assert examine(Model(by_topic), facts(4)) == "fewer than 5 known pairs to examine it with"


def test_rewrites_are_kept_or_dropped_with_the_reason() -> None:
    def writes(sentence: str) -> str:
        number = sentence.split("Ann")[1].split()[0]
        kind = topic(sentence)
        return {
            "0": f"Ann0 calls home the {kind} of",
            "1": "",
            "2": f"his {kind} is",
            "3": f"the {kind} o3 belongs to Ann3",
            "4": f"The {kind} of  Ann4 is",
            "5": "the town of Ann5 is called",
        }.get(number, f"Ann{number} is known for the {kind}")

    # one way only for 6: its rewrite follows from the prompt, but not the prompt from it
    model = Model(lambda a, b: by_topic(a, b) and not a.startswith("Ann6 is known"), writes)
    found = rewrite_facts(model, facts())  # type: ignore[arg-type]
    assert found.not_available == ""
    assert set(found.kept) == {"f0", "f7"}
    assert found.dropped == {
        "nothing was written": 1, "rewrite without the subject": 1, "rewrite holds the answer": 1,
        "no new words": 1, "the model finds another meaning": 2,
    }  # fmt: skip
    assert found.examples[0] == (
        "the town of Ann0 is", "Ann0 calls home the town of", "kept",
    )  # fmt: skip
    assert len(found.examples) == 8


def test_a_model_that_cannot_judge_has_no_rewrites() -> None:
    found = rewrite_facts(Model(lambda a, b: True), facts())  # type: ignore[arg-type]
    assert found.kept == {} and found.not_available
