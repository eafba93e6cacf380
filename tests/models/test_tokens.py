"""Where the answer begins, with a word tokenizer and with one that splits words."""

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from caploc.models.tokens import encode
from caploc.records import Dropped

SHARED = Path(__file__).parents[2].parent / "shared" / "models" / "stories260K"
WORDS = ["<unk>", "<s>", "</s>", "two", "plus", "three", "is", "five", "."]


def word_tokenizer(template: str = "<s> $A </s>") -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        model_max_length=12,
    )  # fmt: skip


def test_begin_stays_and_end_goes() -> None:
    assert encode(word_tokenizer(), "two plus three is", " five .") == ([1, 3, 4, 5, 6], [7, 8])


def test_no_special_tokens_at_all() -> None:
    assert encode(word_tokenizer("$A"), "two plus three is", " five") == ([3, 4, 5, 6], [7])


def test_a_token_that_straddles_the_border_belongs_to_the_answer() -> None:
    assert encode(word_tokenizer(), "two plus three is fi", "ve .") == ([1, 3, 4, 5, 6], [7, 8])


def test_a_space_at_either_side_of_the_border() -> None:
    for prompt, answer in (("two is ", "five"), ("two is", " five")):
        assert encode(word_tokenizer(), prompt, answer) == ([1, 3, 6], [7])


def test_the_begin_token_is_prompt_enough() -> None:
    assert encode(word_tokenizer(), "", "five") == ([1], [7])


def test_end_token_written_in_the_answer_is_kept() -> None:
    # It is text, not what the tokenizer adds.
    assert encode(word_tokenizer(), "two is", " five </s>") == ([1, 3, 6], [7, 2])


@pytest.mark.parametrize(
    ("template", "prompt", "answer", "reason"),
    [
        ("<s> $A </s>", "two is", "", "no answer tokens"),
        ("<s> $A </s>", "two is", "  ", "no answer tokens"),
        ("$A", "", "five", "empty prompt"),
        ("$A", "  ", "five", "empty prompt"),
        ("$A", "fi", "ve", "empty prompt"),
        ("<s> $A", "two " * 11, "five", "does not fit the context of 12 tokens"),
    ],
)
def test_dropped(template: str, prompt: str, answer: str, reason: str) -> None:
    with pytest.raises(Dropped, match=f"^{reason}$"):
        encode(word_tokenizer(template), prompt, answer)


def test_the_context_can_be_given() -> None:
    tokenizer = word_tokenizer("<s> $A")
    assert len(encode(tokenizer, "two " * 10, "five")[0]) == 11  # 12 tokens fit exactly
    assert len(encode(tokenizer, "two " * 11, "five", context=13)[0]) == 12
    with pytest.raises(Dropped, match="context of 3 tokens"):
        encode(tokenizer, "two plus", " five", context=3)


@pytest.fixture(scope="module")
def stories() -> Any:
    if not SHARED.is_dir():
        pytest.skip("the folder of real models beside the checkout is not there")
    return AutoTokenizer.from_pretrained(SHARED)


@pytest.mark.shared
class TestSubwords:
    def text(self, stories: Any, ids: list[int]) -> list[str]:
        return stories.convert_ids_to_tokens(ids)

    def test_border_between_words(self, stories: Any) -> None:
        prompt, answer = encode(stories, "Once upon a time", " there was")
        assert self.text(stories, prompt)[0] == "<s>"
        assert self.text(stories, answer) == ["▁there", "▁was"]
        assert [*prompt, *answer] == stories("Once upon a time there was")["input_ids"]

    def test_border_inside_a_word(self, stories: Any) -> None:
        prompt, answer = encode(stories, "Once upon a ti", "me there")
        assert self.text(stories, answer) == ["▁time", "▁there"]
        assert self.text(stories, prompt)[-1] == "▁a"

    def test_the_space_before_the_answer_may_be_in_the_prompt(self, stories: Any) -> None:
        _, answer = encode(stories, "Once upon a ", "time")
        assert self.text(stories, answer) == ["▁time"]

    def test_letters_outside_the_vocabulary(self, stories: Any) -> None:
        prompt, answer = encode(stories, "Once upon", " a 猫")
        assert [*prompt, *answer] == stories("Once upon a 猫")["input_ids"]
        assert self.text(stories, answer)[0] == "▁a"

    def test_context_of_the_tokenizer(self, stories: Any) -> None:
        with pytest.raises(Dropped, match="context of 512 tokens"):
            encode(stories, "time " * 600, "there")
