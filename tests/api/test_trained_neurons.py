"""Training located neurons in a notebook, and changing a model for good."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import caploc

PAIRS = [("a b =", " one"), ("c d =", " two three"), ("a =", " two"), ("b c d =", " four")]
MASK = np.random.default_rng(0).random((3, 24)) < 0.3


def test_only_located_neurons_move_and_the_model_is_as_it_was(
    model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    delta = caploc.train_located(model, tokenizer, MASK, PAIRS, epochs=4, batch=2, rate=0.01)
    assert model.training and all(p.requires_grad for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    losses = delta.facts["losses"]
    assert len(losses) == 4 and losses[-1] < losses[0]
    logprob = caploc.evaluate(model, tokenizer, PAIRS)["logprob"].mean()
    delta.save(tmp_path / "delta.safetensors")
    again = copy.deepcopy(model)
    caploc.apply(model, delta)
    caploc.apply(again, caploc.read_delta(tmp_path / "delta.safetensors"))
    assert caploc.evaluate(model, tokenizer, PAIRS)["logprob"].mean() > logprob
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
        moved = (value != before[name]).reshape(len(value), -1)
        layer = int(name.split(".")[2]) if ".layers." in name else 0
        if "down_proj" in name:
            assert (moved.any(0).numpy() == MASK[layer]).all()
        elif "up_proj" in name or "gate_proj" in name:
            assert (moved.any(1).numpy() <= MASK[layer]).all() and moved.any()
        else:
            assert not moved.any()


@pytest.mark.parametrize("factor", [0.0, 2.0])
def test_a_factor_for_good_is_the_factor_meanwhile(model: Any, factor: float) -> None:
    ids = torch.tensor([[3, 5, 2, 7]])
    with torch.no_grad():
        with caploc.scaled(model, MASK, factor):
            wanted = model(ids).logits
        caploc.apply(model, MASK, factor)
        torch.testing.assert_close(model(ids).logits, wanted)


def test_what_was_trained_on_another_model(model: Any, tokenizer: Any) -> None:
    delta = caploc.train_located(model, tokenizer, MASK, PAIRS, epochs=1, batch=2)
    name = next(iter(delta.values))
    delta.values[name] = delta.values[name][:, :3]
    with pytest.raises(caploc.DataError, match="belong to another model"):
        caploc.apply(model, delta)
