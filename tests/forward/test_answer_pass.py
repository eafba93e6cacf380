"""One padded pass against one unpadded pass for every sample, in float64, and against autograd."""

import pytest
import torch
from tiny_families import FAMILIES, softmax_in_float64
from tiny_models import ids, tiny_gptj, tiny_llama

from caploc.forward.answer_pass import answer_pass
from caploc.forward.batch import batch_of

PAIRS = [(ids(2, 0), ids(5, 1)), (ids(9, 2), ids(1, 3)), (ids(4, 4), ids(3, 5)), (ids(1, 6), [7])]


def alone(lm, prompt, answer):
    """(answer token, vocab) log-probabilities of one sample, the obvious way."""
    logits = lm.model(torch.tensor([[*prompt, *answer]])).logits[0]
    return torch.log_softmax(logits, -1)[len(prompt) - 1 : -1]


@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_padding_changes_nothing(name):
    """Also where the model ends with a soft cap or looks through a window."""
    lm = FAMILIES[name]()
    with softmax_in_float64():
        found = answer_pass(lm, PAIRS)
        for (prompt, answer), logprob, best, total in zip(
            PAIRS, found.logprob, found.is_best, found.total, strict=True
        ):
            wanted, n = alone(lm, prompt, answer), len(answer)
            gold = wanted[range(n), answer]
            assert logprob[:n].tolist() == pytest.approx(gold.tolist(), abs=1e-10)
            assert best[:n].tolist() == (wanted.argmax(-1) == torch.tensor(answer)).tolist()
            assert not logprob[n:].any() and not best[n:].any()
            assert total.item() == pytest.approx(gold.sum().item(), abs=1e-10)


def test_a_batch_is_what_its_names_say():
    batch = batch_of([([5, 6, 7], [8]), ([4], [3, 2])], torch.device("cpu"))
    assert batch.ids.tolist() == [[5, 6, 7], [4, 3, 0]]
    assert batch.positions.tolist() == [[2, 2], [0, 1]]
    assert batch.targets.tolist() == [[8, 0], [3, 2]]
    assert batch.counts.tolist() == [[True, False], [True, True]]
    assert batch.n_tokens.tolist() == [1, 2]
    assert batch.read.tolist() == [[True, True, True], [True, True, False]]
    assert batch.answering.tolist() == [[False, False, True], [True, True, False]]
    assert batch.rows(torch.tensor([1, 1])).positions.tolist() == [[0, 1], [0, 1]]


@pytest.mark.parametrize("make", [tiny_llama, tiny_gptj])
def test_neurons_are_those_of_single_samples_and_can_be_differentiated_by(make):
    lm = make()
    found = answer_pass(lm, PAIRS, neurons=True)
    slopes = torch.autograd.grad(found.logprob.exp().sum(), found.neurons)
    for row, pair in enumerate(PAIRS):
        single = answer_pass(lm, [pair], neurons=True)
        wanted = torch.autograd.grad(single.logprob.exp().sum(), single.neurons)
        n = len(pair[0]) + len(pair[1]) - 1
        for layer in range(lm.n_layers):
            assert torch.allclose(found.neurons[layer][row, :n], single.neurons[layer][0])
            assert torch.allclose(slopes[layer][row, :n], wanted[layer][0])
            assert not slopes[layer][row, n:].any()
    # The slope of one neuron, by a difference.
    layer, position, neuron, step = 1, len(PAIRS[2][0]) - 1, 3, 1e-6
    ends = [_moved(lm, PAIRS[2], layer, position, neuron, sign * step) for sign in (1, -1)]
    slope = (ends[0] - ends[1]) / (2 * step)
    assert slopes[layer][2, position, neuron].item() == pytest.approx(slope, rel=1e-5)


@torch.no_grad()
def _moved(lm, pair, layer, position, neuron, step):
    def move(module, args):
        x = args[0].clone()
        x.view(1, -1, x.shape[-1])[0, position, neuron] += step
        return (x,)

    with lm.projections[layer].register_forward_pre_hook(move):
        return answer_pass(lm, [pair]).logprob.exp().sum().item()
