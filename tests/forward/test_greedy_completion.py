"""Greedy completions, compared with a loop over single prompts without a cache."""

import copy

import numpy as np
import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import GenerationConfig

from caploc.catalogues.training import Architecture
from caploc.forward import batch
from caploc.forward.answer_pass import answer_passes
from caploc.forward.generation import complete, first_answer
from caploc.forward.silencing import Erasure, Erasures
from caploc.models.language_model import LanguageModel, wrap_model
from caploc.records import Sample
from caploc.training.optimisation import build_model, optimise
from caploc.training.packing import pack
from caploc.training.tokenizer import build_tokenizer

PROMPTS = ["a b", "c", "d e f", "g", "f"]
ANSWERS = [" c d", " e", " g h", " a\n b c d e f", " b"]


@pytest.fixture(scope="module")
def model():
    tokenizer = build_tokenizer([*PROMPTS, *ANSWERS, " a"], 24)
    model = build_model(Architecture(2, 16, 32, 4, 2, 24), tokenizer, 0)
    ids = [tokenizer(p + a)["input_ids"] for p, a in zip(PROMPTS, ANSWERS, strict=True)]
    batch = pack([([*i, tokenizer.eos_token_id], 1) for i in ids], 24, 0)
    list(optimise(model, [batch] * 80, 80, 1e-2, 5, bfloat16=False))
    return wrap_model(model, tokenizer)


def slow(model, prompt, limit):
    """One prompt, one token at a time, no padding, no cache."""
    ids = model.tokenizer(prompt)["input_ids"]
    start = len(ids)
    with torch.no_grad():
        for _ in range(limit):
            token = int(model.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
            if token == model.tokenizer.eos_token_id:
                break
            ids.append(token)
    return model.tokenizer.decode(ids[start:], skip_special_tokens=True)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_equals_a_slow_loop(model, batch):
    found = dict(complete(model, PROMPTS, ANSWERS, batch))
    assert sorted(found) == [0, 1, 2, 3, 4]
    for i, prompt in enumerate(PROMPTS):
        assert found[i] == first_answer(slow(model, prompt, 20), ANSWERS[i])


def test_rows_with_different_erasures_equal_one_by_one(model):
    """Silenced at all positions, from the answer on, or not at all, all in one batch."""
    rng = np.random.default_rng(1)
    nothing = np.zeros((2, 32), bool)
    some = rng.random((2, 32)) < 0.7
    kinds = [Erasure(nothing), Erasure(some), Erasure(some, "answer")]
    prompts, answers = PROMPTS * 3, ANSWERS * 3
    which = [0] * 5 + [1] * 5 + [2] * 5
    found = dict(complete(model, prompts, answers, 7, Erasures(model, kinds), which))
    wanted = {}
    for i, prompt in enumerate(prompts):
        start = (0, 0, len(model.tokenizer(prompt)["input_ids"]) - 1)[which[i]]

        def hook(layer, i=i, start=start):
            def act(module, args):
                x = args[0].clone()
                x[:, start:, torch.from_numpy(kinds[which[i]].neurons[layer])] = 0
                return (x,)

            return act

        handles = [p.register_forward_pre_hook(hook(k)) for k, p in enumerate(model.projections)]
        wanted[i] = first_answer(slow(model, prompt, 20), answers[i])
        for handle in handles:
            handle.remove()
    # Completions end at the limit of their batch, the loop at 20 tokens.
    assert all(wanted[i].startswith(found[i]) and len(found[i]) > 0 for i in range(15))
    assert [found[i] for i in range(5)] == ANSWERS
    assert len({tuple(found[5 * k + i] for i in range(5)) for k in range(3)}) == 3
    with pytest.raises(ValueError, match="5 prompts need as many indices of erasures"):
        next(complete(model, PROMPTS, ANSWERS, 5, Erasures(model, kinds), [0]))


def test_learned_answers_come_back(model):
    found = dict(complete(model, PROMPTS, ANSWERS, 3))
    assert [found[i] for i in range(5)] == ANSWERS


def test_completions_end_at_the_limit_and_at_the_context(model):
    endless = build_model(Architecture(1, 16, 32, 4, 2, 24), model.tokenizer, 5)
    endless.generation_config.eos_token_id = 10_000  # never said
    wrapped = wrap_model(endless, model.tokenizer)
    ((_, completion),) = complete(wrapped, ["a"], [" b\n c"], 1)
    # 3 gold tokens: half as many again, and 8
    assert len(model.tokenizer(completion, add_special_tokens=False)["input_ids"]) <= 12
    long = " a" * 22
    ((_, completion),) = complete(wrapped, [long], [" b\n c"], 1)
    assert len(model.tokenizer(completion, add_special_tokens=False)["input_ids"]) <= 1
    ((_, completion),) = complete(wrapped, [long + " a"], [" b"], 1)
    assert completion == ""


@pytest.mark.parametrize(
    ("completion", "answer", "cut"),
    [
        (" joy\nText: more", " joy", " joy"),
        ("\n joy\nText", " joy", "\n joy"),
        (" 1\n#### 1\n\nQuestion: 2", " 1\n#### 1", " 1\n#### 1"),
        ("a\n\nb\n\nc", "x\n\ny", "a\n\nb\n\nc"),
        ("", " x", ""),
        ("\n\n\n", " x", "\n\n\n"),
        (" joy", " joy", " joy"),
    ],
)
def test_first_answer(completion, answer, cut):
    assert first_answer(completion, answer) == cut


def test_bad_arguments(model):
    with pytest.raises(ValueError, match="2 prompts, 1 answers, batch 1: expected equal"):
        next(complete(model, ["a", "b"], ["c"], 1))
    with pytest.raises(ValueError, match="batch 0"):
        next(complete(model, ["a"], ["c"], 0))


@pytest.mark.parametrize(
    "leak",
    [
        {"repetition_penalty": 9.0},
        {"suppress_tokens": list(range(4, 9))},
        {"bad_words_ids": [[5], [6], [7]]},
        {"forced_eos_token_id": 4},
        {"guidance_scale": 3.0},
        {"stop_strings": ["c"]},
        {"prompt_lookup_num_tokens": 3},
        {"do_sample": True, "temperature": 9.0},
        {"min_new_tokens": 9},
    ],
)
def test_what_a_model_folder_wants_of_generation_changes_nothing(model, leak):
    expected = dict(complete(model, PROMPTS, ANSWERS, 2))
    own = model.model.generation_config
    model.model.generation_config = changed = copy.deepcopy(own)
    changed.update(**leak)
    try:
        assert dict(complete(model, PROMPTS, ANSWERS, 2)) == expected
        assert model.model.generation_config is changed
    finally:
        model.model.generation_config = own


def test_a_neighbour_takes_nobodys_room(model):
    """Beside a prompt that nearly fills the context an answer has its whole length."""
    long = " ".join(["a b c d e f g"] * 3) + " a"
    assert len(model.tokenizer(long)["input_ids"]) >= model.context - 2
    alone = dict(complete(model, [PROMPTS[3]], [ANSWERS[3]], 1))[0]
    for prompts in ([PROMPTS[3], long], [long, PROMPTS[3]]):
        answers = [ANSWERS[3] if p == PROMPTS[3] else " a" for p in prompts]
        found = dict(complete(model, prompts, answers, 8))
        assert found[prompts.index(PROMPTS[3])] == alone
    # Nor does a neighbour with a long answer give more.
    short, beside = " b", " ".join("abcdefg" * 2)
    alone = dict(complete(model, [PROMPTS[4]], [short], 1))[0]
    assert dict(complete(model, [PROMPTS[4], "c"], [short, f"\n{beside}"], 8))[0] == alone


@pytest.mark.parametrize("settings", [{}, {"eos": True}, {"pad": True}, {"stored": True}])
def test_the_habits_of_a_tokenizer_change_nothing(model, settings):
    """An end token that it appends, a padding token without embedding, stored padding and cuts."""
    expected = dict(complete(model, PROMPTS, ANSWERS, 2))
    tokenizer = copy.deepcopy(model.tokenizer)
    inner = tokenizer.backend_tokenizer
    if settings.get("eos"):
        end = tokenizer.eos_token
        inner.post_processor = TemplateProcessing(
            single=f"{tokenizer.bos_token} $A {end}",
            special_tokens=[
                (tokenizer.bos_token, tokenizer.bos_token_id),
                (end, tokenizer.eos_token_id),
            ],
        )
        assert tokenizer("a")["input_ids"][-1] == tokenizer.eos_token_id
    if settings.get("pad"):
        tokenizer.add_special_tokens({"pad_token": "[PAD]"})
        assert tokenizer.pad_token_id >= len(model.model.get_input_embeddings().weight)
    if settings.get("stored"):
        inner.enable_padding(length=16)
        inner.enable_truncation(1)
    lm = LanguageModel(model.model, tokenizer, model.family, model.n_layers, model.n_neurons)
    assert dict(complete(lm, PROMPTS, ANSWERS, 2)) == expected
    assert lm.encode("a b", " c d") == model.encode("a b", " c d")


def test_without_any_end_token_a_completion_ends_at_its_limit(model):
    tokenizer, own = copy.deepcopy(model.tokenizer), model.model.generation_config
    tokenizer.eos_token = None
    lm = LanguageModel(model.model, tokenizer, model.family, model.n_layers, model.n_neurons)
    model.model.generation_config = GenerationConfig()
    try:
        assert set(dict(complete(lm, PROMPTS, ANSWERS, 2))) == set(range(5))
    finally:
        model.model.generation_config = own


def test_one_long_prompt_does_not_make_short_ones_as_long(model, monkeypatch):
    """Rows times positions are bounded, so memory is that of the longest text alone."""
    prompts = [*PROMPTS, " ".join("abcdefgh"), "a", "c d"]
    answers = [*ANSWERS, " a", " b", " b"]
    free = dict(complete(model, prompts, answers, 64))
    sizes = []
    handle = model.model.base_model.register_forward_pre_hook(
        lambda _, args, kwargs: sizes.append(kwargs["input_ids"].shape), with_kwargs=True
    )
    monkeypatch.setattr(batch, "_MOST_TOKENS", 40)
    samples = [Sample(str(i), p, a) for i, (p, a) in enumerate(zip(prompts, answers, strict=True))]
    with torch.no_grad():
        passes = list(answer_passes(model, samples, neurons=False))
        assert sum(len(found.members) for found in passes) == 8 > len(passes) > 1
    assert all(shape[0] == 1 or shape[0] * shape[1] <= 40 for shape in sizes)
    sizes.clear()
    bounded = dict(complete(model, prompts, answers, 64))
    handle.remove()
    first = [shape for shape in sizes if shape[1] > 1]
    assert all(rows * width <= 40 for rows, width in first) and len(first) > 2
    assert bounded.keys() == free.keys()
    assert [bounded[i] for i in range(5)] == [free[i] for i in range(5)] == ANSWERS
