"""Effects of planted neurons against zeroed columns, one whole float64 pass at a time."""

import itertools

import numpy as np
import pytest
import torch
from tiny_models import tiny_llama

from caploc.experiments.known_answer._effects import Effects, effects_of, flips
from caploc.forward.likelihood import answer_likelihood
from caploc.forward.silencing import Erasure

PROMPTS, ANSWERS = [[1, 2, 3], [4, 5]], [[6, 7], [8]]


def planted():
    grid = np.zeros((4, 24), dtype=bool)
    grid[0, 3] = grid[1, [5, 6]] = grid[3, 0] = True
    return grid


def slow(lm, silenced):
    """Mean log-probability of the answers with columns of the output projections at 0."""
    saved = [p.weight.clone() for p in lm.projections]
    with torch.no_grad():
        for layer, neuron in silenced:
            lm.projections[layer].weight[:, neuron] = 0
        total = 0.0
        for prompt, answer in zip(PROMPTS, ANSWERS, strict=True):
            logits = lm.model(torch.tensor([[*prompt, *answer]])).logits[0]
            for m, token in enumerate(answer):
                total += torch.log_softmax(logits[len(prompt) - 1 + m], -1)[token].item()
        for p, weight in zip(lm.projections, saved, strict=True):
            p.weight.copy_(weight)
    return total / len(PROMPTS)


def fast(lm, grids):
    found = np.zeros((len(grids), len(PROMPTS)))
    for samples, part in answer_likelihood(lm, PROMPTS, ANSWERS, [Erasure(g) for g in grids]):
        found[:, samples] = part.logprob
    return found.mean(axis=1)


@pytest.fixture(scope="module")
def case():
    lm = tiny_llama()
    grids, silenced = flips(planted(), 6, 0)
    return lm, silenced, fast(lm, grids)


def by_hand(lm, silenced):
    where = [tuple(w) for w in np.argwhere(planted())]
    rows = []
    for row in silenced:
        base = {w for w, s in zip(where, row, strict=True) if s}
        rows.append([slow(lm, base - {w}) - slow(lm, base | {w}) for w in where])
    return np.array(rows)


def test_effects(case):
    lm, silenced, logprob = case
    wanted = by_hand(lm, silenced)
    found = effects_of(logprob, silenced)
    assert found.mean == pytest.approx(wanted.mean(axis=0), abs=1e-10)
    errors = [np.std(column, ddof=1) / 6**0.5 for column in wanted.T]
    assert found.error == pytest.approx(errors, abs=1e-10)
    assert np.abs(found.mean).max() > 1e-3


def test_the_comparison_sees_a_damaged_routine(case):
    """With the subsets the wrong way round every sign is wrong."""
    lm, silenced, logprob = case
    found = effects_of(logprob, ~silenced)
    assert not np.allclose(found.mean, by_hand(lm, silenced).mean(axis=0), atol=1e-6)


def test_every_subset_is_flipped_neuron_by_neuron():
    grids, silenced = flips(planted(), 5, 1)
    assert len(grids) == 5 * 5 and silenced.shape == (5, 4)
    where = np.argwhere(planted())
    for m in range(5):
        base = grids[m * 5]
        assert not (base & ~planted()).any()
        assert base[tuple(where.T)].tolist() == silenced[m].tolist()
        for k, (layer, neuron) in enumerate(where):
            assert np.argwhere(base ^ grids[m * 5 + 1 + k]).tolist() == [[layer, neuron]]
    assert 0 < silenced.mean() < 1


def test_a_capability_that_is_stored_twice_has_effects_in_random_subsets():
    """f is right as long as one of two neurons acts: alone neither matters, in subsets both do."""
    grid = np.ones((1, 2), dtype=bool)
    grids, silenced = flips(grid, 200, 0)
    found = effects_of(np.array([float(not g.all()) for g in grids]), silenced)
    assert found.mean == pytest.approx([0.5, 0.5], abs=0.1)
    assert found.effective(0.01).all()


def test_effective():
    found = Effects(np.array([0.2, 0.2, 0.005, -1.0]), np.array([0.01, 0.099, 0.0, 0.0]))
    assert found.effective(0.01).tolist() == [True, False, False, False]


def test_too_little():
    for grid, n in itertools.product((planted(),), (0, 1)):
        with pytest.raises(ValueError, match="expected 2 and 1 at least"):
            flips(grid, n, 0)
    with pytest.raises(ValueError, match="0 neurons"):
        flips(np.zeros((2, 2), dtype=bool), 4, 0)
