"""Many erasures in one pass, against one row, one erasure, whole model and a plain hook."""

import copy
import math

import numpy as np
import pytest
import torch
from tiny_families import FAMILIES, softmax_in_float64
from tiny_models import ids, tiny_gptj, tiny_llama

from caploc.forward.likelihood import answer_likelihood, sample_groups
from caploc.forward.silencing import Erasure, Erasures, erased

PROMPTS = [ids(n, n) for n in (5, 9, 5, 12)]
ANSWERS = [ids(n, 50 + n) for n in (3, 1, 4, 2)]


@pytest.fixture(scope="module", params=[tiny_llama, tiny_gptj], ids=["llama", "gptj"])
def lm(request):
    return request.param()


def erasures(lm, n=14):
    """Every first layer, both kinds of positions, with and without a fill; the first is empty."""
    rng = np.random.default_rng(0)
    found = [Erasure(np.zeros((lm.n_layers, lm.n_neurons), bool))]
    for k in range(1, n):
        neurons = np.zeros((lm.n_layers, lm.n_neurons), bool)
        first = k % lm.n_layers
        neurons[first:] = rng.random(neurons[first:].shape) < 0.3
        neurons[first, 0] = True
        fill = rng.normal(size=neurons.shape) if k % 3 == 0 else None
        found.append(Erasure(neurons, ("all", "answer")[k % 2], fill))
    return found


def slow(lm, prompt, answer, erasure):
    """Log-probability and right tokens of one answer, the obvious way."""
    start = 0 if erasure.positions == "all" else len(prompt) - 1
    handles = []
    for layer, projection in enumerate(lm.projections):

        def hook(module, args, layer=layer):
            x = args[0].clone().view(1, -1, args[0].shape[-1])
            for j in np.flatnonzero(erasure.neurons[layer]):
                x[:, start:, j] = 0.0 if erasure.fill is None else erasure.fill[layer, j]
            return (x.view(args[0].shape),)

        handles.append(projection.register_forward_pre_hook(hook))
    with torch.no_grad():
        logits = lm.model(input_ids=torch.tensor([prompt + answer[:-1]])).logits[0]
    for handle in handles:
        handle.remove()
    logits = logits[len(prompt) - 1 :]
    logprob = sum(math.log(torch.softmax(logits[m], 0)[y]) for m, y in enumerate(answer))
    return logprob, sum(int(logits[m].argmax() == y) for m, y in enumerate(answer))


def scored(lm, found, **settings):
    logprob, right = np.full((2, len(found), len(PROMPTS)), np.nan)
    for samples, part in answer_likelihood(lm, PROMPTS, ANSWERS, found, **settings):
        logprob[:, samples], right[:, samples] = part.logprob, part.n_right
        assert part.n_tokens.tolist() == [len(ANSWERS[i]) for i in samples]
    return logprob, right


@pytest.mark.parametrize("batch_tokens", [1, 60, 4096])
def test_equals_one_by_one(lm, batch_tokens):
    found = erasures(lm)
    logprob, right = scored(lm, found, batch_tokens=batch_tokens)
    for i, erasure in enumerate(found):
        for k, (prompt, answer) in enumerate(zip(PROMPTS, ANSWERS, strict=True)):
            wanted, n_right = slow(lm, prompt, answer, erasure)
            assert logprob[i, k] == pytest.approx(wanted, abs=1e-10)
            assert right[i, k] == n_right
    assert len(np.unique(logprob[:, 0].round(6))) == len(found)  # every erasure does something


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family(name):
    """Norms behind the FFN, windows, soft caps, FFNs without a module."""
    lm = FAMILIES[name]()
    found = erasures(lm, 5)
    with softmax_in_float64():
        logprob, _ = scored(lm, found, batch_tokens=100)
        for i, erasure in enumerate(found):
            for k in (1, 2):
                wanted, _ = slow(lm, PROMPTS[k], ANSWERS[k], erasure)
                assert logprob[i, k] == pytest.approx(wanted, abs=1e-8)


def test_zero_at_all_positions_is_a_model_without_the_columns(lm):
    erasure = erasures(lm)[2]
    assert (erasure.positions, erasure.fill) == ("all", None)
    other = copy.deepcopy(lm.model)
    with torch.no_grad():
        for layer, block in enumerate(other.get_submodule(lm.family.blocks)):
            weight = block.get_submodule(lm.family.ffn_out).weight
            weight[:, torch.from_numpy(erasure.neurons[layer])] = 0
        logits = other(input_ids=torch.tensor([PROMPTS[1]])).logits[0, -1]
    wanted = torch.log_softmax(logits, 0)[ANSWERS[1][0]].item()
    assert scored(lm, [erasure])[0][0, 1] == pytest.approx(wanted, abs=1e-10)


def test_the_model_is_left_as_it_was(lm):
    before = [len(m._forward_pre_hooks) + len(m._forward_hooks) for m in lm.model.modules()]
    weights = [p.clone() for p in lm.model.parameters()]
    with pytest.raises(IndexError), erased(lm, Erasures(lm, erasures(lm)), torch.tensor([99])):
        pass
    scored(lm, erasures(lm))
    after = [len(m._forward_pre_hooks) + len(m._forward_hooks) for m in lm.model.modules()]
    assert before == after
    assert all(torch.equal(a, b) for a, b in zip(weights, lm.model.parameters(), strict=True))


def test_bad_arguments(lm):
    empty = erasures(lm)[:1]
    with pytest.raises(ValueError, match="2 prompts, 1 answers"):
        next(answer_likelihood(lm, [[1], [2]], [[1]], empty))
    with pytest.raises(ValueError, match="at least one prompt token"):
        next(answer_likelihood(lm, [[1]], [[]], empty))
    with pytest.raises(ValueError, match=r"erasure 0 has grid \(1, 2\), the model"):
        Erasures(lm, [Erasure(np.zeros((1, 2), bool))])
    with pytest.raises(ValueError, match="at least one erasure"):
        Erasures(lm, [])


def test_samples_of_unequal_length_go_together_only_to_fill_a_pass():
    lengths = [3, 9, 3, 4, 9, 4, 4] + [9] * 20
    prompts, answers = [[1] * (n - 1) for n in lengths], [[1] for _ in lengths]
    one = sample_groups(prompts, answers, 1, 1000)
    assert [len(group) for group in one] == [16, 11]
    many = sample_groups(prompts, answers, 50, 100)
    assert [[lengths[i] for i in group] for group in many] == [[3] * 2, [4] * 3, [9] * 16, [9] * 6]
    for groups in (one, many):
        assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
