"""The training loop: continuing after any step, stopping when it goes wrong."""

import copy

import pytest
import torch
from test_slices import SAMPLES, a_mask, weights
from tiny_models import tiny_llama

from caploc.forward.answer_pass import answer_pass
from caploc.interventions.fitting import Diverged, Recipe, Training
from caploc.interventions.slices import Slices
from caploc.records import DataError


def start(rate=0.01, lm=None, **settings):
    lm = tiny_llama(3) if lm is None else lm
    slices = Slices(lm, a_mask(lm))
    return (
        lm,
        slices,
        Training(lm, slices, SAMPLES, Recipe(**{"rate": rate, "batch": 4, "seed": 3} | settings)),
    )


@pytest.mark.parametrize("stop", [0, 1, 2, 3, 4, 6])
def test_a_continued_training_is_the_uninterrupted_one_bit_for_bit(stop):
    lm, _, whole = start()
    for _ in range(7):
        whole.step()
    _, _, first = start()
    for _ in range(stop):
        first.step()
    tensors, facts = first.state()
    tensors, facts = {n: t.clone() for n, t in tensors.items()}, copy.deepcopy(facts)
    again, _, second = start()
    second.resume(tensors, facts)
    for _ in range(7 - stop):
        second.step()
    assert second.losses == whole.losses
    wanted = weights(lm)
    assert all(torch.equal(t, wanted[n]) for n, t in weights(again).items())
    for a, b in zip(second.state(), whole.state(), strict=True):
        assert a.keys() == b.keys()
    assert second.state()[1] == whole.state()[1]


def test_an_epoch_reads_every_sample_once_and_seeds_decide_the_order(monkeypatch):
    import caploc.interventions.fitting as module

    read = []

    def spy(lm, batch):
        read.append([tuple(map(tuple, sample)) for sample in batch])
        return answer_pass(lm, batch)

    monkeypatch.setattr(module, "answer_pass", spy)
    orders = []
    for seed in (3, 3, 4):
        read.clear()
        _, _, training = start(seed=seed)
        for _ in range(2 * training.steps_per_epoch):
            training.step()
        assert training.epoch == 2
        assert [len(b) for b in read] == [4, 4, 2, 4, 4, 2]
        for epoch in (read[:3], read[3:]):
            assert sorted(s for b in epoch for s in b) == sorted(
                (tuple(p), tuple(a)) for p, a in SAMPLES
            )
        assert read[:3] != read[3:]
        orders.append(copy.deepcopy(read))
    assert orders[0] == orders[1] != orders[2]


def test_training_lowers_the_loss_of_its_samples():
    _, _, training = start(0.05)
    for _ in range(30):
        training.step()
    assert training.losses[-1] < 0.7 * training.losses[0]


def test_a_loss_that_is_not_finite_stops_before_the_step():
    lm, slices, training = start()
    training.step()
    before = {n: v.detach().clone() for n, v in slices.values.items()}
    with torch.no_grad():
        lm.head.weight[0, 0] = float("inf")
    with pytest.raises(Diverged, match=r"loss nan or its gradient is not finite in epoch 1"):
        training.step()
    assert all(torch.equal(v, before[n]) for n, v in slices.values.items())


def test_an_epoch_as_bad_as_guessing_is_named():
    lm = tiny_llama(3)
    everything = Slices(lm, a_mask(lm) | True)
    training = Training(lm, everything, SAMPLES, Recipe(0.01, 4, seed=0))
    for _ in range(30):
        training.step()
    assert training.losses[-1] < 2  # better than guessing, so that it can get worse
    _, _, training = start(rate=1e4, lm=lm)
    with pytest.raises(Diverged, match=r"mean loss .* nat in epoch \d+, a uniform guess has 3\.61"):
        for _ in range(60):
            training.step()


def test_fewer_samples_than_a_batch():
    with pytest.raises(DataError, match="10 samples to train on, a batch has 11; give the task"):
        start(batch=11)


def test_a_rate_must_be_positive():
    with pytest.raises(DataError, match=r"learning rate -1\.0; expected"):
        start(rate=-1.0)
