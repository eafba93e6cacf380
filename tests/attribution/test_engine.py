"""The engine against the definition, computed slowly in float64."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from naive import Naive, naive_scores
from tiny_models import ids, tiny_gptj, tiny_llama

from caploc.attribution import engine, integration, model_check, streams
from caploc.attribution.engine import Attribution, attribute
from caploc.attribution.prefix_attention import Prefix
from caploc.attribution.recording import Recording
from caploc.attribution.rules import path_rule
from caploc.models.language_model import LanguageModel
from caploc.models.loading import load_model
from caploc.models.tokens import encode
from caploc.records import DataError

RULE, STEPS = "inclusive", 4
# Prompts and answers of unequal length; the second answer is one token, the third prompt too.
SHAPES = [(6, 3), (9, 1), (1, 4), (4, 5), (6, 3)]
PROMPTS = [ids(x, seed=i) for i, (x, _) in enumerate(SHAPES)]
ANSWERS = [ids(y, seed=100 + i) for i, (_, y) in enumerate(SHAPES)]


def reference(lm: LanguageModel, i: int, rule: str = RULE, steps: int = STEPS) -> Naive:
    path = path_rule(rule, steps)
    points, weights = path.points.tolist(), path.weights.tolist()
    return naive_scores(lm.model, lm.projections, PROMPTS[i], ANSWERS[i], points, weights)


def worst(ours: np.ndarray, theirs: Any) -> float:
    """Largest elementwise relative difference; values below 1e-6 of the largest count as that."""
    theirs = np.asarray(theirs)
    floor = 1e-6 * np.abs(theirs).max()
    return float((np.abs(ours - theirs) / np.maximum(np.abs(theirs), floor)).max())


def check(found: Attribution, expected: Naive, tolerance: float) -> None:
    assert worst(found.scores, expected.mean) < tolerance
    assert worst(found.probability, expected.probability) < tolerance
    assert worst(found.probability_zeroed, expected.probability_zeroed.T) < tolerance
    np.testing.assert_allclose(found.gap, expected.gap.T, rtol=0, atol=tolerance)


@pytest.fixture(scope="module")
def llama() -> LanguageModel:
    return tiny_llama()


@pytest.fixture(scope="module")
def gptj() -> LanguageModel:
    return tiny_gptj()


@pytest.fixture(scope="module")
def of_llama(llama: LanguageModel) -> list[Naive]:
    return [reference(llama, i) for i in range(len(SHAPES))]


@pytest.fixture(scope="module")
def of_gptj(gptj: LanguageModel) -> list[Naive]:
    return [reference(gptj, i) for i in range(len(SHAPES))]


def test_llama_batch_of_unequal_samples(llama: LanguageModel, of_llama: list[Naive]) -> None:
    found = attribute(llama, PROMPTS, ANSWERS, rule=RULE, steps=STEPS)
    for ours, expected in zip(found, of_llama, strict=True):
        check(ours, expected, 1e-9)


@pytest.mark.parametrize("i", range(len(SHAPES)))
def test_llama_single_sample(llama: LanguageModel, of_llama: list[Naive], i: int) -> None:
    (found,) = attribute(llama, PROMPTS[i : i + 1], ANSWERS[i : i + 1], rule=RULE, steps=STEPS)
    check(found, of_llama[i], 1e-9)


# From one row at a time to everything in one pass: samples, then answer tokens, then points.
@pytest.mark.parametrize("batch_rows", [1, 5, 7, 13, 20, 40, 60, 100, 10_000])
def test_every_chunking_gives_the_same(
    llama: LanguageModel, of_llama: list[Naive], batch_rows: int
) -> None:
    found = attribute(llama, PROMPTS, ANSWERS, rule=RULE, steps=STEPS, batch_rows=batch_rows)
    for ours, expected in zip(found, of_llama, strict=True):
        check(ours, expected, 1e-9)


@pytest.mark.parametrize("batch_rows", [1, 30, 10_000])
def test_gptj(gptj: LanguageModel, of_gptj: list[Naive], batch_rows: int) -> None:
    found = attribute(gptj, PROMPTS, ANSWERS, rule=RULE, steps=STEPS, batch_rows=batch_rows)
    for ours, expected in zip(found, of_gptj, strict=True):
        check(ours, expected, 1e-9)


def test_gptj_as_it_is() -> None:
    # GPT-J computes attention scores in float32 even in float64; the engine does not round there.
    lm = tiny_gptj(exact=False)
    found = attribute(lm, PROMPTS[:1], ANSWERS[:1], rule=RULE, steps=STEPS)
    expected = reference(lm, 0).mean.numpy()
    assert np.abs(found[0].scores - expected).max() < 2e-6 * np.abs(expected).max()


@pytest.mark.parametrize("rule", ["linspace", "left", "right", "midpoint", "gauss-legendre"])
def test_other_rules(llama: LanguageModel, rule: str) -> None:
    (found,) = attribute(llama, PROMPTS[3:4], ANSWERS[3:4], rule=rule, steps=3)
    check(found, reference(llama, 3, rule, 3), 1e-9)


@pytest.mark.parametrize("kv_heads", [1, 4])
def test_other_numbers_of_key_value_heads(kv_heads: int) -> None:
    lm = tiny_llama(n_layers=3, kv_heads=kv_heads)
    found = attribute(lm, PROMPTS[:2], ANSWERS[:2], rule=RULE, steps=2)
    for i in range(2):
        check(found[i], reference(lm, i, RULE, 2), 1e-9)


def test_one_layer() -> None:
    lm = tiny_llama(n_layers=1)
    found = attribute(lm, PROMPTS, ANSWERS, rule=RULE, steps=STEPS)
    for i in range(len(SHAPES)):
        check(found[i], reference(lm, i), 1e-9)


def test_one_step_of_the_right_rule_is_gradient_times_value(llama: LanguageModel) -> None:
    # All rows but the unchanged one have weight 0: the shared row alone must carry the result.
    (found,) = attribute(llama, PROMPTS[:1], ANSWERS[:1], rule="right", steps=1)
    check(found, reference(llama, 0, "right", 1), 1e-9)


def test_float32_agrees_to_rounding(llama: LanguageModel, of_llama: list[Naive]) -> None:
    lm = tiny_llama()
    lm.model.float()
    found = attribute(lm, PROMPTS, ANSWERS, rule=RULE, steps=STEPS)
    for ours, expected in zip(found, of_llama, strict=True):
        assert ours.scores.dtype == np.float32
        error = np.abs(ours.scores - expected.mean.numpy()).sum()
        assert error < 2e-5 * np.abs(expected.mean.numpy()).sum()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_16_bits_agree_roughly(dtype: torch.dtype) -> None:
    lm = tiny_llama()
    lm.model.to(dtype)
    wide = tiny_llama()
    wide.model.load_state_dict({k: v.double() for k, v in lm.model.state_dict().items()})
    found = attribute(lm, PROMPTS[:1], ANSWERS[:1], rule=RULE, steps=STEPS)[0]
    expected = reference(wide, 0).mean.numpy()
    assert np.corrcoef(found.scores.ravel(), expected.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("make", [tiny_llama, tiny_gptj])
def test_a_tiny_probability_does_not_vanish_in_float16(make: Any) -> None:
    lm, wide = make(), make()
    with torch.no_grad():
        for model in (lm.model, wide.model):
            model.get_output_embeddings().weight.mul_(8)
    lm.model.half()
    wide.model.load_state_dict({k: v.double() for k, v in lm.model.state_dict().items()})
    with torch.no_grad():
        logits = wide.model(torch.tensor([PROMPTS[0]])).logits[0, -1]
    unlikely = [[int(logits.argmin())]]
    expected = attribute(wide, PROMPTS[:1], unlikely, steps=STEPS)[0]
    # Below what float16 can hold, so that the scores are too.
    assert expected.probability[0] < 6e-8 and np.abs(expected.scores).max() < 6e-8
    found = attribute(lm, PROMPTS[:1], unlikely, steps=STEPS)[0].scores
    error = np.abs(found - expected.scores).sum() / np.abs(expected.scores).sum()
    assert error < 0.2
    assert np.corrcoef(found.ravel(), expected.scores.ravel())[0, 1] > 0.99


@pytest.mark.shared
@pytest.mark.parametrize("name", ["stories260K", "babyllama_tok105"])
def test_really_pretrained_model(name: str) -> None:
    folder = Path(__file__).parents[2].parent / "shared" / "models" / name
    if not folder.is_dir():
        pytest.skip("the folder of real models beside the checkout is not there")
    lm = load_model(folder, dtype="float64")
    prompt, answer = encode(lm.tokenizer, "Once upon a time, there was a", " girl named Lily.")
    (found,) = attribute(lm, [prompt], [answer[:3]], rule="inclusive", steps=3)
    path = path_rule("inclusive", 3)
    points, weights = path.points.tolist(), path.weights.tolist()
    expected = naive_scores(lm.model, lm.projections, prompt, answer[:3], points, weights)
    # The norms of transformers round to float32, in both.
    error = np.abs(found.scores - expected.mean.numpy()).max()
    assert error < 1e-5 * np.abs(expected.mean.numpy()).max()
    np.testing.assert_allclose(found.probability, expected.probability, rtol=1e-5)


# Completeness ------------------------------------------------------------------------------------


def test_many_points_add_up_to_the_effect(llama: LanguageModel) -> None:
    coarse, fine = (
        attribute(llama, PROMPTS[:4], ANSWERS[:4], rule="gauss-legendre", steps=s) for s in (3, 96)
    )
    assert max(a.gap.max() for a in fine) < 1e-6
    assert max(a.gap.max() for a in coarse) > 1e-4
    for a in fine:
        effect = a.probability - a.probability_zeroed
        np.testing.assert_allclose(a.scores.sum(1), effect.mean(1), atol=1e-6)


def test_endpoint_term_of_the_inclusive_rule(llama: LanguageModel) -> None:
    steps = 3
    settings: dict[str, Any] = {"steps": steps, "batch_rows": 30}
    found = attribute(llama, PROMPTS[:2], ANSWERS[:2], rule="inclusive", **settings)
    projections = llama.projections
    for i, ours in enumerate(found):
        # f(c) is the sum of the scores of a rule with that single point.
        f0, f1 = (
            naive_scores(llama.model, projections, PROMPTS[i], ANSWERS[i], [c], [1.0]).scores.sum(
                -1
            )
            for c in (0.0, 1.0)
        )
        np.testing.assert_allclose(ours.endpoint, (f0 + f1).T / (2 * steps), rtol=1e-8, atol=1e-12)
        effect = ours.probability - ours.probability_zeroed
        trapezoid = reference(llama, i, "inclusive", steps).scores.sum(-1).T.numpy() - ours.endpoint
        np.testing.assert_allclose(ours.rest, np.abs(trapezoid - effect), atol=1e-12)
    (other,) = attribute(llama, PROMPTS[:1], ANSWERS[:1], rule="left", steps=3)
    assert other.endpoint is None and other.rest is None


# Capped answers ----------------------------------------------------------------------------------


def test_cap_scores_a_random_choice_of_tokens(llama: LanguageModel) -> None:
    prompt, answer = ids(5, seed=1), ids(12, seed=2)
    settings: dict[str, Any] = {"rule": "right", "steps": 2}
    found = attribute(llama, [prompt], [answer], max_answer_tokens=4, seed=3, **settings)[0]
    assert len(found.positions) == 4 and found.n_answer_tokens == 12
    assert found.positions == sorted(set(found.positions))
    path = path_rule("right", 2)
    naive = naive_scores(
        llama.model, llama.projections, prompt, answer, path.points.tolist(), path.weights.tolist()
    )
    assert worst(found.scores, naive.scores[found.positions].mean(0)) < 1e-9
    assert worst(found.probability, naive.probability[found.positions]) < 1e-9


def test_cap_is_uniform_and_depends_on_sample_and_seed_only(llama: LanguageModel) -> None:
    prompts, answers = (
        [ids(3, seed=i) for i in range(200)],
        [ids(8, seed=900 + i) for i in range(200)],
    )
    chosen = [engine._choose(llama, x, y, 2, 0) for x, y in zip(prompts, answers, strict=True)]
    counts = np.bincount(np.concatenate(chosen), minlength=8)
    # 400 draws over 8 places: 50 each, standard deviation 6; first places are not preferred.
    assert counts.min() > 25 and counts.max() < 75
    assert chosen == [
        engine._choose(llama, x, y, 2, 0) for x, y in zip(prompts, answers, strict=True)
    ]
    assert chosen != [
        engine._choose(llama, x, y, 2, 1) for x, y in zip(prompts, answers, strict=True)
    ]


def test_cap_above_the_length_changes_nothing(llama: LanguageModel) -> None:
    a, b = (attribute(llama, PROMPTS[:1], ANSWERS[:1], max_answer_tokens=n)[0] for n in (None, 3))
    np.testing.assert_array_equal(a.scores, b.scores)


# Damage is caught --------------------------------------------------------------------------------


def damaged(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Break one ingredient a little, behind the check of the model."""
    monkeypatch.setattr(engine, "check_model", lambda lm, site: True)
    if how in ("keys", "values"):
        original = Recording.prefix

        def prefix(self: Recording) -> Prefix:
            p = original(self)
            keys = [k * 1.01 for k in p.keys] if how == "keys" else p.keys
            values = [v * 1.01 for v in p.values] if how == "values" else p.values
            return Prefix(keys, values, p.slots)

        monkeypatch.setattr(Recording, "prefix", prefix)
    elif how == "mask":
        monkeypatch.setattr(Prefix, "mask", lambda self, window: None)
    elif how == "positions":
        place = streams._positional
        monkeypatch.setattr(
            streams, "_positional", lambda r, s, n: place(r, (s - 1).clamp(min=0), n)
        )
    elif how == "point at one":
        whole = integration.row_gradients

        def doubled(*a: Any, **settings: Any) -> Any:
            found = whole(*a, **settings)
            p = found.probability_unchanged
            return replace(found, probability_unchanged=None if p is None else p * 1.01)

        monkeypatch.setattr(integration, "row_gradients", doubled)


@pytest.mark.parametrize("how", ["keys", "values", "mask", "positions", "point at one"])
def test_comparison_catches_damage(
    llama: LanguageModel, of_llama: list[Naive], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    damaged(monkeypatch, how)
    found = attribute(llama, PROMPTS, ANSWERS, rule=RULE, steps=STEPS)
    error = max(worst(a.scores, e.mean) for a, e in zip(found, of_llama, strict=True))
    assert error > 1e-4


# The model is left as it was ---------------------------------------------------------------------


def hooks(lm: LanguageModel) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in lm.model.modules())


@pytest.mark.parametrize("make", [tiny_llama, tiny_gptj])
def test_nothing_is_left_behind(make: Any) -> None:
    lm = make()
    before = {name: dict(m.__dict__) for name, m in lm.model.named_modules()}
    implementation = lm.model.config._attn_implementation
    logits = lm.model(torch.tensor([PROMPTS[0]])).logits
    attribute(lm, PROMPTS[:2], ANSWERS[:2], steps=2)
    assert hooks(lm) == 0
    assert lm.model.config._attn_implementation == implementation
    for name, module in lm.model.named_modules():
        assert module.__dict__.keys() == before[name].keys()
        assert module.__dict__.get("_attn") is before[name].get("_attn")
    torch.testing.assert_close(lm.model(torch.tensor([PROMPTS[0]])).logits, logits, rtol=0, atol=0)


@pytest.mark.parametrize("make", [tiny_llama, tiny_gptj])
def test_nothing_is_left_behind_after_an_error(make: Any) -> None:
    lm = make()
    implementation = lm.model.config._attn_implementation
    attribute(lm, PROMPTS[:1], ANSWERS[:1], steps=2)

    class Stop(Exception):
        pass

    def stop(module: Any, args: Any) -> None:
        raise Stop

    for module in (lm.blocks[1], lm.projections[2], lm.final_norm):
        handle = module.register_forward_pre_hook(stop)
        with pytest.raises(Stop):
            attribute(lm, PROMPTS[:1], ANSWERS[:1], steps=2)
        handle.remove()
        assert hooks(lm) == 0
        assert lm.model.config._attn_implementation == implementation
    attribute(lm, PROMPTS[:1], ANSWERS[:1], steps=2)


# What is refused ---------------------------------------------------------------------------------


def test_nan_names_the_sample() -> None:
    lm = tiny_llama()
    attribute(lm, PROMPTS[:1], ANSWERS[:1], steps=1)
    with torch.no_grad():
        lm.model.model.embed_tokens.weight[5] = torch.nan
    good, bad = [1, 2, 3], [1, 5, 3]
    with pytest.raises(DataError, match="sample 'second': a score of layer 0 is not a finite"):
        attribute(lm, [good, bad], [[4], [4]], steps=1, names=["first", "second"])


def test_unknown_site_is_refused(llama: LanguageModel) -> None:
    with pytest.raises(DataError, match="unknown site 'mid'; available: post, pre"):
        attribute(llama, PROMPTS, ANSWERS, site="mid")


@pytest.mark.parametrize(
    ("prompt", "answer", "message"),
    [([], [1], "at least one"), ([1], [], "at least one"), ([1] * 60, [1] * 9, "context of 64")],
)
def test_bad_samples_are_refused(
    llama: LanguageModel, prompt: list[int], answer: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        attribute(llama, [prompt], [answer])


def test_no_samples(llama: LanguageModel) -> None:
    assert attribute(llama, [], []) == []


def test_works_inside_no_grad(llama: LanguageModel, of_llama: list[Naive]) -> None:
    with torch.no_grad():
        found = attribute(llama, PROMPTS[:1], ANSWERS[:1], rule=RULE, steps=STEPS)
    check(found[0], of_llama[0], 1e-9)


def test_model_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny_llama()
    calls = []
    original = model_check._check
    monkeypatch.setattr(model_check, "_check", lambda *a: calls.append(1) or original(*a))
    for _ in range(3):
        attribute(lm, PROMPTS[:1], ANSWERS[:1], steps=1)
    assert len(calls) == 1
