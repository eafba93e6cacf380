"""What cannot be used ends in one clear error, and the model is as it was."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

import caploc

PAIRS = [("a b =", " one"), ("c d =", " two three"), ("a =", " two"), ("b c d =", " four")]
NOTHING, EVERYTHING = np.zeros((3, 24), bool), np.ones((3, 24), bool)
SOME = np.arange(72).reshape(3, 24) % 9 == 0


@contextmanager
def unchanged(model: Any) -> Iterator[None]:
    """Weights, modes, gradients and hooks."""

    def state() -> Any:
        hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]
        modes = [(m.training, "forward" in m.__dict__) for m in model.modules()]
        return hooks, modes, [p.requires_grad for p in model.parameters()]

    weights, before = {k: v.clone() for k, v in model.state_dict().items()}, state()
    yield
    assert state() == before
    assert all(torch.equal(v, weights[k]) for k, v in model.state_dict().items())


def letters() -> Any:
    """A tokenizer that joins "c" and "d" to one token."""
    words = {w: i for i, w in enumerate(["<s>", *pre_tokenizers.ByteLevel.alphabet(), "cd"])}
    tokenizer = Tokenizer(models.BPE(words, [("c", "d")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>")


FUNCTIONS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "locate": caploc.locate,
    "evaluate": caploc.evaluate,
    "effect": lambda m, t, s: caploc.effect(m, t, SOME, s),
    "train": lambda m, t, s: caploc.train_located(m, t, SOME, s),
}
SAMPLES: list[tuple[Any, str]] = [
    (["a text"], r"\[0\]: expected a pair of texts \(prompt, answer\), found 'a text'"),
    ("a text", r"\[0\]: expected a pair of texts"),
    (("a =", " one"), r"\[0\]: expected a pair of texts"),
    ([("a =", " one"), ("a =", 3)], r"\[1\]: expected a pair of texts"),
    ([], "no samples"),
    ([{"prompt": "a", "gold": "b"}], "has no column 'answer', it has prompt, gold"),
    (pl.DataFrame({"prompt": ["a"], "gold": ["b"]}), "no column 'answer', it has prompt, gold"),
    ([("a b", "c")], r"\[0\]: one token, 'bc', is the end of the prompt and the begin of the "
                     "answer 'c'; begin the answer with a space"),
]  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("samples", "message"), SAMPLES)
def test_samples(model: Any, tokenizer: Any, function: str, samples: Any, message: str) -> None:
    model.train()
    with unchanged(model), pytest.raises(caploc.DataError, match=message):
        FUNCTIONS[function](model, tokenizer, samples)


def test_answers_that_merge_inside_a_word_only(model: Any) -> None:
    with pytest.raises(caploc.DataError, match="one token, 'cd'"):
        caploc.locate(model, letters(), [("ab", " c"), ("abc", "d")])


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_tokenizer_without_spans(model: Any, function: str) -> None:
    with unchanged(model), pytest.raises(caploc.DataError, match="gives no character spans; expec"):
        FUNCTIONS[function](model, object(), PAIRS)


CALLS: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "method": (lambda m, t: caploc.locate(m, t, PAIRS, method="clever"), "expected one of"),
    "nothing fits": (lambda m, t: caploc.locate(m, t, [("a " * 40, " one")]), "no sample fits"),
    "silenced shape": (lambda m, t: caploc.silenced(m, NOTHING[:2]).__enter__(),
                       r"a mask of shape \(2, 24\), the model has 3 layers"),
    "effect shape": (lambda m, t: caploc.effect(m, t, EVERYTHING[:2], PAIRS), "a mask of shape"),
    "apply shape": (lambda m, t: caploc.apply(m, EVERYTHING[:2]), "a mask of shape"),
    "train shape": (lambda m, t: caploc.train_located(m, t, EVERYTHING[:2], PAIRS, batch=2),
                    "a mask of shape"),
    "effect empty": (lambda m, t: caploc.effect(m, t, NOTHING, PAIRS), "no neuron is located"),
    "effect all": (lambda m, t: caploc.effect(m, t, EVERYTHING, PAIRS), "too many neurons"),
    "apply empty": (lambda m, t: caploc.apply(m, NOTHING), "the mask is empty"),
    "apply factor": (lambda m, t: caploc.apply(m, EVERYTHING, float("nan")), "a finite number"),
    "train few": (lambda m, t: caploc.train_located(m, t, EVERYTHING, PAIRS), "4 samples to train"),
    "train epochs": (lambda m, t: caploc.train_located(m, t, EVERYTHING, PAIRS, epochs=0),
                     "epochs=0; expected at least 1"),
    "train rate": (lambda m, t: caploc.train_located(m, t, EVERYTHING, PAIRS, batch=2, rate=0),
                   "learning rate 0"),
    "diverged": (lambda m, t: caploc.train_located(m, t, EVERYTHING, PAIRS, batch=2, rate=1e30),
                 "training diverged"),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_calls(model: Any, tokenizer: Any, name: str) -> None:
    call, message = CALLS[name]
    model.train()
    with unchanged(model), pytest.raises(caploc.DataError, match=message):
        call(model, tokenizer)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # between peft and transformers
@pytest.mark.parametrize("function", FUNCTIONS)
def test_adapters(model: Any, tokenizer: Any, function: str) -> None:
    import peft

    adapted = peft.get_peft_model(model, peft.LoraConfig(target_modules=["down_proj"]))
    adapted.train()
    with unchanged(adapted), pytest.raises(caploc.DataError, match="adapter"):
        FUNCTIONS[function](adapted, tokenizer, PAIRS)


def test_something_else_is_refused() -> None:
    with pytest.raises(caploc.DataError), caploc.silenced(torch.nn.Linear(2, 2), EVERYTHING):
        pass
