"""What the benchmark compares is the same computation, and its counts are those of torch."""

import sys
from pathlib import Path

import pytest
import torch
from naive import naive_scores
from tiny_models import VOCAB, ids, tiny_gptj, tiny_llama

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import attribution_forms as forms
from attribution_counts import Counter, Shape

PROMPT, ANSWER, STEPS = ids(6, seed=1), ids(3, seed=2), 4


@pytest.fixture(
    scope="module", params=[tiny_llama, lambda: tiny_gptj(exact=False)], ids=["llama", "gptj"]
)
def problem(request: pytest.FixtureRequest) -> forms.Problem:
    return forms.prepare(request.param(), PROMPT, ANSWER, steps=STEPS)


def test_every_form_gives_the_definition(problem: forms.Problem) -> None:
    points, weights = problem.points[:, 0].tolist(), problem.weights[:, 0].tolist()
    lm = problem.lm
    tolerance = 1e-9 if lm.family.name == "llama" else 2e-6
    expected = naive_scores(lm.model, lm.projections, PROMPT, ANSWER, points, weights)
    for m in range(len(ANSWER)):
        for layer in range(lm.n_layers):
            for found in (
                forms.naive(problem, m, layer, last_only=False),
                forms.naive(problem, m, layer, last_only=True),
                forms.cached(problem, m, layer),
                forms.pair_of_ours(problem, m)[layer],
            ):
                error = (found - expected.scores[m, layer]).abs().max()
                assert error < tolerance * expected.scores[m, layer].abs().max()
    torch.testing.assert_close(forms.ours(problem), expected.mean, rtol=1e-5, atol=1e-9)


def test_a_wrong_form_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = forms.prepare(tiny_llama(), PROMPT, ANSWER, steps=2)
    assert max(forms.largest_difference(problem, [(1, 1)]).values()) < 1e-9
    problem.keys[1].mul_(1.01)
    worst = forms.largest_difference(problem, [(1, 1)])
    assert worst["cached"] > 1e-4 and worst["naive, last logits"] < 1e-9


def test_counts_are_those_of_torch() -> None:
    lm = tiny_llama(n_layers=4, kv_heads=2)
    shape = Shape(4, 16, 24, 4, 2, VOCAB, len(PROMPT), len(ANSWER), STEPS + 1)
    problem = forms.prepare(lm, PROMPT, ANSWER, steps=STEPS)
    forms.ours(problem)  # the model is checked once, which is not counted
    totals = shape.totals()
    for m in range(len(ANSWER)):
        for layer in range(4):
            for last in (True, False):
                counted = count(
                    lambda m=m, x=layer, k=last: forms.naive(problem, m, x, last_only=k)
                )
                assert counted == pytest.approx(shape.naive(m, layer, last_only=last), rel=1e-12)
            counted = count(lambda m=m, x=layer: forms.cached(problem, m, x))
            assert counted == pytest.approx(shape.cached(layer), rel=1e-12)
    beyond = count(lambda: forms.ours(problem)) - totals["ours"] - shape.attention_of_ours()
    assert 0 <= beyond < 0.05 * totals["ours"]


def count(run: object) -> float:
    with Counter() as counter:
        run()  # type: ignore[operator]
    return counter.total
