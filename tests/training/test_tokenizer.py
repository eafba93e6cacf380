"""The word-level tokenizer joins to exactly the text it came from."""

import ast
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from caploc import plugins
from caploc.training.tokenizer import BOS, EOS, PAD, UNK, build_tokenizer, save_tokenizer

TEXTS = ["def f(x):\n    return x + 1\n", "Mia had 12 apples, sold 5.\nAnswer:", " 12 - 5\n#### 7"]


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(TEXTS, 64)


def test_round_trip(tokenizer):
    for text in TEXTS:
        ids = tokenizer(text)["input_ids"]
        assert ids[0] == tokenizer.bos_token_id
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_pieces(tokenizer):
    pieces = tokenizer.convert_ids_to_tokens(tokenizer(TEXTS[0])["input_ids"])
    assert pieces == [
        BOS, "def", " f", "(", "x", ")", ":", "\n    ", "return", " x", " +", " 1", "\n",
    ]  # fmt: skip


def test_prompt_and_answer_are_cut_where_the_answer_begins(tokenizer):
    prompt, answer = TEXTS[1], TEXTS[2]
    joined = tokenizer(prompt + answer)["input_ids"]
    assert joined == (
        tokenizer(prompt)["input_ids"] + tokenizer(answer, add_special_tokens=False)["input_ids"]
    )


def test_special_tokens_and_padding(tokenizer):
    assert tokenizer.convert_ids_to_tokens([0, 1, 2, 3]) == [PAD, BOS, EOS, UNK]
    batch = tokenizer(["Mia", "Mia had 12"], padding=True)
    assert batch["attention_mask"][0] == [0, 0, 1, 1]
    assert batch["input_ids"][0][0] == tokenizer.pad_token_id
    assert tokenizer.model_max_length == 64


def test_unknown_words_are_marked(tokenizer):
    assert tokenizer.unk_token_id in tokenizer("zebra")["input_ids"]


def test_order_of_texts_does_not_matter():
    one, other = build_tokenizer(TEXTS, 64), build_tokenizer(reversed(TEXTS * 2), 64)
    assert one.get_vocab() == other.get_vocab()


def test_saved_and_loaded(tokenizer, tmp_path):
    save_tokenizer(tokenizer, tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.is_fast
    assert loaded.padding_side == "left"
    assert loaded.model_max_length == 64
    for text in TEXTS:
        assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]
        assert loaded.decode(loaded(text)["input_ids"], skip_special_tokens=True) == text
    spans = loaded(TEXTS[1], return_offsets_mapping=True)["offset_mapping"]
    assert "".join(TEXTS[1][a:b] for a, b in spans) == TEXTS[1]


@given(st.text(st.sampled_from("ab_ 7\n\t(#=.é  "), max_size=40))
def test_any_text_round_trips(text):
    known = build_tokenizer([text], 64)
    assert known.decode(known(text)["input_ids"], skip_special_tokens=True) == text


@pytest.mark.parametrize("name", ["code_writing", "code_running"])
def test_programs_survive(name):
    task = plugins.load("tasks", name).TASK
    rng = random.Random(0)
    samples = [task.generate(rng) for _ in range(2000)]
    tokenizer = build_tokenizer((t for p, a, _ in samples for t in (p, a)), 128)
    for prompt, answer, _ in samples[:200]:
        code = answer if name == "code_writing" else prompt
        ids = tokenizer(code, add_special_tokens=False)["input_ids"]
        decoded = tokenizer.decode(ids)
        assert decoded == code
        ast.parse(decoded)
