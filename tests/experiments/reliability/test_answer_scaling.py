"""Suppressing and enhancing against a model whose forward pass is written out for it."""

import numpy as np
import pytest
import torch
from tiny_models import ids, tiny_gptj, tiny_llama

from caploc.experiments.reliability._answer_scaling import answer_probability, scaled


@pytest.mark.parametrize("make", [tiny_llama, tiny_gptj])
@pytest.mark.parametrize("factor", [0.0, 2.0])
def test_against_one_whole_run_per_answer_token(make, factor):
    lm = make()
    rng = np.random.default_rng(0)
    prompt, answer = ids(7, 1), ids(3, 2)
    sets = rng.random((5, lm.n_layers, lm.n_neurons)) < 0.2
    found = answer_probability(lm, prompt, answer, sets, factor, batch_rows=2)
    for chosen, value in zip(sets, found, strict=True):
        expected = []
        for m, target in enumerate(answer):
            read = torch.tensor([[*prompt, *answer[:m]]])

            first = len(prompt) - 1

            def hook(layer, chosen=chosen, first=first):
                def change(module, args):
                    x = args[0].clone().view(-1, lm.n_neurons)
                    # every position from the last of the prompt on predicts an answer token
                    for position in range(first, len(x)):
                        for j in np.flatnonzero(chosen[layer]):
                            x[position, j] = factor * x[position, j]
                    return (x.view_as(args[0]),)

                return change

            handles = [p.register_forward_pre_hook(hook(i)) for i, p in enumerate(lm.projections)]
            logits = lm.model(input_ids=read).logits[0, -1]
            for handle in handles:
                handle.remove()
            expected.append(torch.softmax(logits, -1)[target].item())
        assert value == pytest.approx(np.mean(expected), rel=1e-9)


def test_nothing_is_left_behind_after_an_error():
    lm = tiny_llama()
    row = torch.tensor([ids(6, 0)])
    before = lm.model(input_ids=row).logits
    weights = [p.clone() for p in lm.model.parameters()]
    everything = torch.ones(1, lm.n_layers, lm.n_neurons, dtype=torch.bool)
    with pytest.raises(RuntimeError, match="stop"), scaled(lm, everything, 0.0, [5]):
        assert not torch.equal(lm.model(input_ids=row).logits, before)
        raise RuntimeError("stop")
    assert torch.equal(lm.model(input_ids=row).logits, before)
    assert all(torch.equal(a, b) for a, b in zip(weights, lm.model.parameters(), strict=True))
