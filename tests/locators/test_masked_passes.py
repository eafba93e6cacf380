"""Locators by masks on every neuron against slow sums in float64: derivatives, expectations."""

from itertools import product

import numpy as np
import pytest
import torch

from caploc.locating import Given, stacked
from caploc.locators import contrastive_size, mask_gradient, uniform_masks
from caploc.locators._masked_passes import worth
from caploc.models.loading import load_model
from caploc.models.tokens import encode
from caploc.records import DataError, Dropped, Sample

SAMPLES = [Sample("0", "a b =", " one two"), Sample("1", "c", " "), Sample("2", "d e f g", " four")]
FITTING = [SAMPLES[0], SAMPLES[2]]


@pytest.fixture
def lm(save_model):
    return load_model(save_model(), dtype="float64")


@pytest.fixture
def few(save_model):
    """Two layers of three neurons."""
    return load_model(save_model(intermediate_size=3, num_hidden_layers=2), dtype="float64")


def logprob(lm, sample, masks):
    """log P(answer) of every mask (mask, layer, neuron), by hooks of its own."""
    prompt, answer = encode(lm.tokenizer, sample.prompt, sample.answer)
    handles = [
        p.register_forward_pre_hook(lambda _, a, k=k: (a[0] * masks[:, k, None],))
        for k, p in enumerate(lm.projections)
    ]
    ids = torch.tensor([prompt + answer[:-1]]).expand(len(masks), -1)
    with torch.no_grad():
        told = torch.log_softmax(lm.model(input_ids=ids).logits, -1)
    for handle in handles:
        handle.remove()
    first = len(prompt) - 1
    return sum(told[:, first + m, y] for m, y in enumerate(answer)).numpy()


def test_the_mask_gradient_is_that_of_finite_differences(lm):
    found = mask_gradient.locate(lm, SAMPLES)
    assert isinstance(found[1], Dropped)
    for i, layer, j in ((0, 0, 3), (0, 1, 20), (2, 2, 11), (2, 0, 0)):
        ends = torch.ones(2, lm.n_layers, lm.n_neurons, dtype=torch.float64)
        ends[0, layer, j] += 1e-2
        ends[1, layer, j] -= 1e-2
        up, down = logprob(lm, SAMPLES[i], ends)
        # The norms compute in float32.
        assert found[i].scores[layer, j] == pytest.approx((up - down) / 2e-2, rel=5e-3, abs=1e-3)


def expected_worth(lm, sample, values, chances, cells):
    """(layer, neuron) exact worth of some neurons over all masks of them; the others are 1."""
    found = np.zeros((lm.n_layers, lm.n_neurons))
    for cell in cells:
        rest = [c for c in cells if c != cell]
        choices = [*product(range(len(values)), repeat=len(rest))]
        masks = torch.ones(len(choices), lm.n_layers, lm.n_neurons, dtype=torch.float64)
        chance = np.ones(len(masks))
        for row, chosen in enumerate(choices):
            for c, k in zip(rest, chosen, strict=True):
                masks[row][c] = values[k]
                chance[row] *= chances[k]
        with_it = logprob(lm, sample, masks)
        masks[:, cell[0], cell[1]] = 0
        found[cell] = (chance * (with_it - logprob(lm, sample, masks))).sum()
    return found


@pytest.mark.parametrize("stage", ["all neurons", "a pool"])
def test_uniform_masks_estimate_the_expectation_over_all_masks(few, stage):
    # Uniform factors by Gauss-Legendre points.
    points, weights = np.polynomial.legendre.leggauss(3)
    values, half = [0.0, 1.0, *((points + 1) / 2)], weights / 4
    chances = [0, 1 / 2, *half] if stage == "all neurons" else [1 / 8, 3 / 8, *half]
    cells = [*np.ndindex(2, 3)] if stage == "all neurons" else [(0, 0), (0, 2), (1, 0), (1, 1)]
    keep = slice(1, None) if stage == "all neurons" else slice(None)
    wanted = expected_worth(few, SAMPLES[0], values[keep], chances[keep], cells)
    pool = None
    if stage == "a pool":
        pool = np.zeros((2, 3), dtype=bool)
        pool[tuple(zip(*cells, strict=True))] = True
    copies = [Sample(str(k), SAMPLES[0].prompt, SAMPLES[0].answer) for k in range(400)]
    draws = stacked(uniform_masks._worths(few, copies, 2, 2, 0, pool))
    error = draws.std(axis=0, ddof=1) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(axis=0) - wanted) <= 4 * error).all()
    assert (error < 0.1 * np.abs(wanted).max()).all()
    # The test can fail: the gradient at 1 is another number, by many standard errors.
    at_one = mask_gradient.locate(few, SAMPLES[:1])[0].scores
    assert (np.abs(at_one - wanted) > 8 * error).any()


def test_the_pool_stands_first_and_the_others_keep_their_order(lm):
    given = Given(FITTING, {"x": [Sample("3", "e f g", " four")]}, [])
    first = uniform_masks.score(lm, given, pool=0)[0].ravel()
    both = uniform_masks.score(lm, given, pool=10)[0].ravel()
    before, after = np.argsort(-first), np.argsort(-both)
    assert set(after[:10]) == set(before[:10]) and (after[10:] == before[10:]).all()
    assert list(after[:10]) != list(before[:10])


def test_a_sample_has_its_own_masks_whatever_stands_beside_it(lm):
    both = uniform_masks.locate(lm, SAMPLES, groups=3, seed=1)
    (alone,) = uniform_masks.locate(lm, SAMPLES[2:], groups=3, seed=1)
    np.testing.assert_allclose(alone.scores, both[2].scores, rtol=1e-6, atol=1e-8)
    (other,) = uniform_masks.locate(lm, SAMPLES[2:], groups=3, seed=2)
    assert not np.allclose(other.scores, alone.scores)


@pytest.mark.parametrize("locator", [mask_gradient, uniform_masks])
def test_contrast_with_the_other_tasks(lm, locator):
    tasks = [FITTING, [Sample("3", "e f g", " four")], [Sample("4", "h i", " two one")]]
    one, zero = (torch.full((1, lm.n_layers, lm.n_neurons), v).double() for v in (1, 0))
    fall = [np.mean([logprob(lm, s, one) - logprob(lm, s, zero) for s in t]) for t in tasks]
    assert [worth(lm, t) for t in tasks] == pytest.approx(fall, rel=1e-5)
    # The FFN helps some of these tasks and not others: each is the wanted one once.
    assert min(fall) < 0 < max(fall)
    means = [stacked(locator.locate(lm, t)).mean(axis=0) for t in tasks]
    for own in range(3):
        given = Given(tasks[own], {str(k): t for k, t in enumerate(tasks) if k != own}, [])
        wanted = np.zeros((lm.n_layers, lm.n_neurons))
        for layer, j in np.ndindex(*wanted.shape):
            shares = [abs(means[k][layer, j]) / fall[k]
                      for k in range(3) if k != own and fall[k] > 0]  # fmt: skip
            lost = max(fall[own], 0) * max(shares, default=0)
            wanted[layer, j] = means[own][layer, j] - lost
        found = locator.score(lm, given)
        np.testing.assert_allclose(found, wanted[None], rtol=1e-4, atol=1e-6)


def test_contrastive_size(lm):
    tasks = [FITTING, [Sample("3", "e f g", " four")], [Sample("4", "h i", " two one")]]
    norms = np.stack([p.weight.detach().norm(dim=0).numpy() for p in lm.projections])
    sizes = []
    for task in tasks:
        rows = []
        for sample in task:
            prompt, answer = encode(lm.tokenizer, sample.prompt, sample.answer)
            seen = []
            handles = [p.register_forward_pre_hook(lambda _, a, seen=seen: seen.append(a[0][0]))
                       for p in lm.projections]  # fmt: skip
            with torch.no_grad():
                lm.model(input_ids=torch.tensor([prompt + answer[:-1]]))
            for handle in handles:
                handle.remove()
            rows += list(torch.stack(seen).abs().numpy().transpose(1, 0, 2))
        sizes.append(np.mean(rows, axis=0) * norms)
    found = contrastive_size.score(lm, Given(tasks[0], {"x": tasks[1], "y": tasks[2]}, []))
    wanted = np.log(sizes[0] / np.maximum(sizes[1], sizes[2]))
    np.testing.assert_allclose(found[0], wanted, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("locator", [mask_gradient, uniform_masks, contrastive_size])
def test_one_task_alone_is_refused(lm, locator):
    with pytest.raises(DataError, match="no other task to compare with"):
        locator.score(lm, Given(FITTING, {}, []))
