"""Every locator under test against slow sums in float64, position by position."""

import numpy as np
import pytest
import torch

from caploc import plugins
from caploc.locating import Given, NeuronScores, mean_over_positions, scores_of_task, stacked
from caploc.locator_settings import of_plants
from caploc.locators import activation_size, cnl, gradient_activation, kn, task_neurons
from caploc.models.loading import load_model
from caploc.models.tokens import encode
from caploc.records import DataError, Dropped, Sample


def sample(i, prompt, answer):
    return Sample(f"s{i}", prompt, answer)


OWN = [sample(0, "a b c =", " one"), sample(1, "b d =", " two one"), sample(2, "a", " three")]
OTHERS = {"x": [sample(3, "e f g", " four")], "y": [sample(4, "h i", " two"), sample(5, "j", " +")]}
NEUTRAL = [sample(6, "a e i", " b"), sample(7, "c d", " ?")]
GIVEN = Given(OWN, OTHERS, NEUTRAL)


@pytest.fixture
def lm(save_model):
    return load_model(save_model(), dtype="float64")


def score(name, lm, **settings):
    return scores_of_task(plugins.load("locators", name), lm, GIVEN, seed=3, **settings)


def positions(lm, samples, gates=False):
    """(position, layer, neuron) of all positions of all samples, one forward pass each."""
    rows = []
    seen = []
    if gates:
        handles = [g.register_forward_hook(lambda m, a, out: seen.append(out[0])) for g in lm.gates]
    else:
        handles = [
            p.register_forward_pre_hook(lambda m, a: seen.append(a[0][0])) for p in lm.projections
        ]
    for s in samples:
        prompt, answer = encode(lm.tokenizer, s.prompt, s.answer, context=lm.context)
        with torch.no_grad():
            lm.model(torch.tensor([[*prompt, *answer[:-1]]]))
        rows += torch.stack(seen).numpy().transpose(1, 0, 2).tolist()
        seen.clear()
    for handle in handles:
        handle.remove()
    return np.array(rows)


@pytest.mark.parametrize("name", of_plants())
def test_the_contract(name, lm):
    module = plugins.load("locators", name)
    assert module.RANKED in ("value", "distance")
    found = scores_of_task(module, lm, GIVEN, seed=0)
    assert found.shape[1:] == (lm.n_layers, lm.n_neurons) and len(found) in (1, len(OWN))
    assert np.isfinite(found).all() and found.dtype == np.float64
    assert (found == scores_of_task(module, lm, GIVEN, seed=0)).all()


def test_path_integrals(lm):
    wanted = np.stack([r.scores for r in cnl.locate(lm, OWN, rule="left", steps=3)])
    assert score("cnl", lm, rule="left", steps=3) == pytest.approx(wanted)
    neutral = np.mean([r.scores for r in cnl.locate(lm, NEUTRAL)], axis=0)
    both = score("cnl", lm, subtract=True)
    assert both == pytest.approx(score("cnl", lm) - neutral, abs=1e-12)


@pytest.mark.parametrize("locator", [gradient_activation, activation_size, task_neurons])
def test_baselines(lm, locator):
    name = locator.__name__.rpartition(".")[2]
    assert (score(name, lm) == stacked(locator.locate(lm, OWN))).all()


def test_refined_kn_is_the_share_of_prompts(lm):
    sets = [r.scores >= 0.3 * r.scores.max() for r in kn.locate(lm, OWN) if r.scores.max() > 0]
    found = score("kn", lm, ratio=0.3).mean(axis=0) * len(OWN)
    assert found == pytest.approx(np.sum(sets, axis=0))


def test_mean_over_positions(lm):
    found = mean_over_positions(lm, OWN, lambda w: w**3)
    assert found == pytest.approx((positions(lm, OWN) ** 3).mean(axis=0), abs=1e-12)
    gates = mean_over_positions(lm, OWN, lambda w: w > 0, gates=True)
    assert gates == pytest.approx((positions(lm, OWN, gates=True) > 0).mean(axis=0), abs=1e-12)


def test_weight_times_activation(lm):
    def importance(samples):
        rms = np.sqrt((positions(lm, samples) ** 2).mean(axis=0))
        columns = [[sum(abs(v) for v in column) for column in p.weight.T.tolist()]
                   for p in lm.projections]  # fmt: skip
        return rms * np.array(columns)

    own, text = importance(OWN), importance(NEUTRAL)
    found = score("weight_activation", lm, general=0.25)[0]
    gone = text > np.sort(text.ravel())[int(0.75 * (text.size - 1))] + 1e-15
    assert found[~gone] == pytest.approx(own[~gone], abs=1e-12)
    assert not found[gone].any() and gone.mean() == pytest.approx(0.25, abs=0.02)
    with pytest.raises(DataError, match="needs neutral text"):
        plugins.load("locators", "weight_activation").score(lm, Given(OWN, {}, []))


def test_activation_entropy(lm):
    tasks = [OWN, *OTHERS.values()]
    p = np.stack([(positions(lm, s, gates=True) > 0).mean(axis=0) for s in tasks])
    found = score("activation_entropy", lm, active=0.5)[0]
    limit = np.quantile(p, 0.5)
    seen = 0
    for layer in range(lm.n_layers):
        for j in range(lm.n_neurons):
            chances = p[:, layer, j]
            wanted = 0.0
            if chances.sum() > 0 and chances.argmax() == 0 and chances.max() >= limit:
                share = chances / chances.sum()
                wanted = np.log(3) + sum(q * np.log(q) for q in share if q > 0)
                seen += 1
            assert found[layer, j] == pytest.approx(wanted, abs=1e-9)
    assert 3 < seen < lm.n_layers * lm.n_neurons


def test_random_order(lm):
    one = score("random_order", lm)
    other = plugins.load("locators", "random_order").score(lm, GIVEN, seed=4)
    assert (one != other).all() and one.min() >= 0 and one.max() < 1


def test_samples_that_do_not_fit_are_left_out():
    found = stacked([Dropped("too long"), NeuronScores(np.ones((2, 3)))])
    assert found.shape == (1, 2, 3)
    with pytest.raises(DataError, match="no sample fits the model"):
        stacked([Dropped("too long")])
