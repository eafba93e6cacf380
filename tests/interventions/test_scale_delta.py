"""Scaling for good, trained slices as files, low-rank adapters: against hooks and definitions."""

import numpy as np
import pytest
import torch
from test_slices import MODELS, SAMPLES, a_mask, train_slices, weights
from tiny_models import ids, tiny_llama

from caploc.experiments.enhancement._low_rank import LowRank, nearest_size
from caploc.interventions.delta import put, read_delta, write_delta, write_tensors
from caploc.interventions.scale import scaled
from caploc.interventions.slices import Slices
from caploc.records import DataError

TEXT = torch.tensor([ids(9, 5)])


def logits(lm):
    with torch.no_grad():
        return lm.model(TEXT).logits


@pytest.mark.parametrize("factor", [0.0, 2.0])
@pytest.mark.parametrize("kind", MODELS)
def test_scaled_weights_are_scaled_activations(kind, factor):
    lm = MODELS[kind]()
    mask, before = a_mask(lm), weights(lm)

    def hook(chosen):
        return lambda module, args: (torch.where(chosen, args[0] * factor, args[0]),)

    handles = [
        projection.register_forward_pre_hook(hook(torch.from_numpy(row)))
        for projection, row in zip(lm.projections, mask, strict=True)
    ]
    wanted = logits(lm)
    for handle in handles:
        handle.remove()
    with scaled(lm, mask, factor):
        torch.testing.assert_close(logits(lm), wanted, rtol=0, atol=1e-12)
    assert not torch.allclose(wanted, logits(lm))
    assert all(torch.equal(t, before[n]) for n, t in weights(lm).items())


def test_trained_slices_travel_in_a_file(tmp_path):
    lm, other = tiny_llama(3), tiny_llama(3)
    mask = a_mask(lm)
    slices = Slices(lm, mask, "both")
    train_slices(lm, slices)
    path = tmp_path / "delta.safetensors"
    write_delta(path, slices, mask, "both", {"weights": "w"}, {"task": "t"})
    assert path.stat().st_size < 8 * slices.n_trained + 4000
    delta = read_delta(path)
    assert (delta.mask == mask).all()
    assert delta.facts["model"] == {"weights": "w"}
    put(other, delta)
    assert all(torch.equal(t, weights(lm)[n]) for n, t in weights(other).items())


def test_slices_do_not_fit_another_grid(tmp_path):
    lm = tiny_llama(3)
    slices = Slices(lm, a_mask(lm))
    path = tmp_path / "delta.safetensors"
    write_delta(path, slices, a_mask(lm), "both", {}, {})
    with pytest.raises(DataError, match=r"mask of shape \(3, 24\), the model has 4 layers of 24"):
        put(tiny_llama(4), read_delta(path))
    wide = read_delta(path)
    wide.values["0.mlp.up_proj" if "0.mlp.up_proj" in wide.values else next(iter(wide.values))] = (
        torch.zeros(2, 99)
    )
    with pytest.raises(DataError, match=r"has shape \(2, 99\), this model needs"):
        put(lm, wide)


def test_a_damaged_or_foreign_file_is_named(tmp_path):
    path = tmp_path / "d.safetensors"
    with pytest.raises(DataError, match="no such file"):
        read_delta(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(DataError, match="damaged file"):
        read_delta(path)
    write_tensors(path, {"a": torch.zeros(1)}, {})
    with pytest.raises(DataError, match="holds no trained slices"):
        read_delta(path)
    write_tensors(path, {}, {"not_computed": "empty mask"})
    with pytest.raises(DataError, match="holds no trained slices: empty mask"):
        read_delta(path)


def test_a_full_disk_leaves_the_earlier_file(tmp_path, monkeypatch):
    import caploc.interventions.delta as module

    path = tmp_path / "d.safetensors"
    write_tensors(path, {"a": torch.zeros(3)}, {})
    before = path.read_bytes()

    def full(tensors, temporary, metadata):
        temporary.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(DataError, match=r"cannot be written .*No space left.*it needs 0 MiB. Free"):
        write_tensors(path, {"a": torch.ones(3)}, {})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("wanted", [1, 100, 130, 500, 1000, 3000, 10**6])
def test_the_nearest_size_is_the_nearest_of_all(wanted):
    per_layer, order = [120, 120, 100], [2, 0, 1]
    found = nearest_size(wanted, per_layer, order, limit=16)
    every = [
        (abs(rank * sum(per_layer[i] for i in order[:n]) - wanted), -n)
        for n in (1, 2, 3)
        for rank in range(1, 17)
    ]
    assert (abs(found.n_trained - wanted), -len(found.layers)) == min(every)
    assert found.n_trained == found.rank * sum(per_layer[i] for i in found.layers)


@pytest.mark.parametrize("kind", MODELS)
def test_adapters_train_alone_and_leave_nothing_behind(kind):
    lm = MODELS[kind]()
    before, untrained = weights(lm), logits(lm)
    wanted = Slices(lm, a_mask(lm)).n_trained
    adapters = LowRank(lm, wanted, [0, 1, 2], seed=1)
    assert adapters.n_trained == adapters.size.n_trained
    assert abs(adapters.n_trained - wanted) < wanted / 2
    assert torch.equal(logits(lm), untrained)  # B is 0
    train_slices(lm, adapters)
    assert not torch.allclose(logits(lm), untrained)
    adapters.restore()
    assert weights(lm).keys() == before.keys()
    assert all(torch.equal(t, before[n]) for n, t in weights(lm).items())
    assert not any(p.requires_grad for p in lm.model.parameters())
    assert len(SAMPLES) == 10


def test_the_same_seed_makes_the_same_adapters():
    found = []
    for seed in (1, 1, 2):
        lm = tiny_llama(3)
        adapters = LowRank(lm, 200, [0, 1, 2], seed)
        found.append({n: v.detach().clone() for n, v in adapters.values.items()})
    same = [all(torch.equal(a, found[0][n]) for n, a in other.items()) for other in found]
    assert same == [True, True, False]


def test_numbers_of_arms():
    from caploc.experiments.enhancement._arms import CHOICE, Arm, chosen_neurons

    located = np.zeros((3, 24), dtype=bool)
    located[0, :4] = located[2, 5] = True
    draws = [chosen_neurons(Arm("layer", "m", run), located, seed=7) for run in (0, 1, CHOICE)]
    for drawn in draws:
        assert (drawn.sum(1) == [4, 0, 1]).all()
        assert not (drawn & located).any()
    assert (draws[0] != draws[1]).any()
    assert (draws[0] != draws[2]).any()
    assert (chosen_neurons(Arm("rest", "m", 0), located, 7) == ~located).all()
    assert chosen_neurons(Arm("full", "", 0), located, 7).all()
    many = np.arange(24) < 13
    with pytest.raises(ValueError, match="11 neurons outside the located set, 13 needed"):
        chosen_neurons(Arm("layer", "m", 0), np.stack([many] * 3), 7)
