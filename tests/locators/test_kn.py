"""Knowledge neurons against the definition, one forward pass of the whole model at a time."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from naive import naive_scores
from tiny_models import tiny_gptj, tiny_llama
from transformers import AutoTokenizer

from caploc.attribution.engine import Attribution
from caploc.locating import NeuronScores
from caploc.locators import kn, kn_activation
from caploc.models.language_model import LanguageModel
from caploc.models.tokens import encode
from caploc.records import Dropped, Sample

SAMPLES = [
    Sample("several tokens", "one + two =", " three ? a"),
    Sample("one token", "a b c", " d"),
    Sample("none", "one + two =", ""),
]


@pytest.fixture(params=[tiny_llama, tiny_gptj])
def lm(request: pytest.FixtureRequest, save_model: Callable[..., Path]) -> LanguageModel:
    # its words are fewer than the ids of the tiny models
    return replace(request.param(), tokenizer=AutoTokenizer.from_pretrained(save_model()))


def naive(lm: LanguageModel, sample: Sample) -> np.ndarray:
    """20 points k / 19 from silenced to full, the gold prefix before every answer token."""
    prompt, answer = encode(lm.tokenizer, sample.prompt, sample.answer)
    points = [k / 19 for k in range(20)]
    return naive_scores(
        lm.model, lm.projections, prompt, answer, points, [1 / 20] * 20
    ).mean.numpy()


def test_scores_and_sets_equal_the_naive_loop(lm: LanguageModel) -> None:
    results = kn.locate(lm, SAMPLES)
    assert isinstance(results[2], Dropped)
    for sample, result in zip(SAMPLES[:2], results, strict=False):
        assert isinstance(result, Attribution)
        wanted = naive(lm, sample)
        np.testing.assert_allclose(result.scores, wanted, rtol=0, atol=1e-9)
        top = max(value for row in wanted for value in row)
        slow = [[value >= 0.2 * top for value in row] for row in wanted]
        assert kn.select(result.scores).tolist() == slow
        assert 0 < sum(map(sum, slow)) < wanted.size


def test_the_points_of_the_paper_give_the_same_sets(lm: LanguageModel) -> None:
    """`inclusive` with 19 steps: the attributions of the capability tasks serve for KN too."""
    (ours,), (paper,) = (
        kn.locate(lm, SAMPLES[:1], rule=rule, steps=steps)
        for rule, steps in (("linspace", 20), ("inclusive", 19))
    )
    assert isinstance(ours, Attribution) and isinstance(paper, Attribution)
    np.testing.assert_allclose(paper.scores, ours.scores * 20 / 19, atol=1e-12)
    assert (kn.select(paper.scores) == kn.select(ours.scores)).all()


def test_activations_are_those_of_each_predicting_position(lm: LanguageModel) -> None:
    results = kn_activation.locate(lm, SAMPLES)
    assert isinstance(results[2], Dropped)
    for sample, result in zip(SAMPLES[:2], results, strict=False):
        assert isinstance(result, NeuronScores)
        prompt, answer = encode(lm.tokenizer, sample.prompt, sample.answer)
        total = np.zeros(result.scores.shape)
        for m in range(len(answer)):
            seen: list[torch.Tensor] = []

            def record(_: object, args: tuple, seen: list[torch.Tensor] = seen) -> None:
                seen.append(args[0][0, -1])

            handles = [p.register_forward_pre_hook(record) for p in lm.projections]
            lm.model(input_ids=torch.tensor([prompt + answer[:m]]), use_cache=False)
            for handle in handles:
                handle.remove()
            total += torch.stack(seen).numpy()
        np.testing.assert_allclose(result.scores, total / len(answer), atol=1e-9)


def test_select_by_hand() -> None:
    scores = np.array([[0.1, 1.0, 0.2], [0.19999, -5.0, 0.0]])
    assert kn.select(scores).tolist() == [[False, True, True], [False, False, False]]
    assert kn.select(scores, 0.1).sum() == 4
    assert kn.select(scores, 1.0).sum() == 1


def test_nothing_positive_locates_nothing() -> None:
    assert not kn.select(np.array([[-1.0, -2.0]])).any()
    assert not kn.select(np.zeros((2, 2))).any()


@pytest.mark.parametrize("ratio", [0, -0.2, 1.1])
def test_a_ratio_out_of_range_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="ratio is"):
        kn.select(np.ones((1, 1)), ratio)


def test_scores_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        kn.select(np.array([[np.nan, 1.0]]))


def slow_refine(facts: list[list[set[int]]], share: float) -> tuple[list[set[int] | None], int]:
    """Counters of names, whole percents: nothing in common with the arrays."""
    percent = round(100 * share)

    def kept() -> list[set[int] | None]:
        found: list[set[int] | None] = []
        for prompts in facts:
            counts = Counter(name for located in prompts for name in located)
            found.append(
                {name for name, n in counts.items() if 100 * n >= percent * len(prompts)}
                if len(prompts) >= 3
                else None
            )
        return found

    for _ in range(6):
        sizes = [len(f) for f in kept() if f is not None]
        mean = sum(sizes) / len(sizes)
        if mean < 2:
            percent -= 5
        elif mean > 5:
            percent += 5
    return kept(), percent


@pytest.mark.parametrize("seed", range(6))
def test_refinement_equals_counting(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(6, 40))
    facts = [
        [
            set(np.flatnonzero(rng.random(size) < rng.choice([0.3, 0.6, 0.95])).tolist())
            for _ in range(rng.integers(2, 9))
        ]
        for _ in range(7)
    ]
    grids = [[np.isin(np.arange(size), list(s)).reshape(1, -1) for s in fact] for fact in facts]
    refined = kn.refine(grids)
    wanted, percent = slow_refine(facts, 0.7)
    found = [None if g is None else set(np.flatnonzero(g).tolist()) for g in refined.located]
    assert found == wanted
    assert refined.share == pytest.approx(percent / 100)


def test_refinement_moves_the_share_both_ways_and_no_further_than_six_times() -> None:
    nothing = [np.zeros((1, 8), bool)] * 4
    everything = [np.ones((1, 8), bool)] * 4
    assert kn.refine([nothing]).share == pytest.approx(0.4)
    assert kn.refine([everything]).share == pytest.approx(1.0)
    three = [np.arange(8).reshape(1, -1) < 3] * 4
    assert kn.refine([three]).share == 0.7
    assert kn.refine([three]).mean_count == 3


def test_facts_with_too_few_prompts_have_no_refined_set() -> None:
    grid = np.ones((1, 3), bool)
    refined = kn.refine([[grid, grid], [grid] * 3])
    assert refined.located[0] is None and refined.located[1] is not None
    assert kn.refine([[grid]]).mean_count == 0
    with pytest.raises(ValueError, match="share is 0"):
        kn.refine([], 0)
