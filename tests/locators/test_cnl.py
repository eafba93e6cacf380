"""The locator is text in, attributions out; the numbers are those of the engine."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from caploc.attribution.engine import Attribution, attribute
from caploc.locators import cnl
from caploc.models.language_model import LanguageModel
from caploc.models.loading import load_model
from caploc.models.tokens import encode
from caploc.records import DataError, Dropped, Sample


@pytest.fixture
def lm(save_model: Callable[..., Path]) -> LanguageModel:
    return load_model(save_model(), dtype="float64")


SAMPLES = [
    Sample("s0", "one + two =", " three ?"),
    Sample("empty", "one + two =", ""),
    Sample("s1", "a b c d e", " f g h i"),
    Sample("long", "a " * 40, "b"),
    Sample("s2", "", " a"),
]


def test_results_are_in_order_with_reasons(lm: LanguageModel) -> None:
    results = cnl.locate(lm, SAMPLES, steps=3, rule="midpoint")
    assert [type(r) for r in results] == [Attribution, Dropped, Attribution, Dropped, Attribution]
    assert [str(r) for r in results if isinstance(r, Dropped)] == [
        "no answer tokens",
        "does not fit the context of 32 tokens",
    ]
    for sample, result in zip(SAMPLES, results, strict=True):
        if isinstance(result, Attribution):
            prompt, answer = encode(lm.tokenizer, sample.prompt, sample.answer)
            (alone,) = attribute(lm, [prompt], [answer], rule="midpoint", steps=3)
            np.testing.assert_allclose(result.scores, alone.scores, rtol=1e-6, atol=1e-9)
            assert result.n_answer_tokens == len(answer) == len(result.probability)


def test_settings_reach_the_engine(lm: LanguageModel) -> None:
    (a,), (b,) = (
        cnl.locate(lm, SAMPLES[2:3], steps=2, max_answer_tokens=2, seed=seed) for seed in (0, 0)
    )
    assert len(a.positions) == 2 and a.positions == b.positions
    with pytest.raises(DataError, match="site 'mid'"):
        cnl.locate(lm, SAMPLES, site="mid")


def test_nothing_usable(lm: LanguageModel) -> None:
    (result,) = cnl.locate(lm, SAMPLES[1:2])
    assert isinstance(result, Dropped)
    assert cnl.locate(lm, []) == []
