"""The edit against its closed form, values against plain autograd, moments against numpy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_models import ids, tiny_gptj, tiny_llama

from caploc.forward.subject import Tokens
from caploc.interventions.rank_one import (
    ValueSettings,
    edited,
    find_values,
    mean_keys,
    rank_one_edit,
)
from caploc.interventions.second_moment import Moments, factorised
from caploc.models.language_model import matrix
from caploc.records import DataError


def projected(lm, layer, key):
    projection = lm.projections[layer]
    return projection(key[None, None])[0, 0]


def positive_definite(n, seed=0):
    x = torch.randn(3 * n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return x.T @ x / len(x)


@pytest.mark.parametrize("make", [tiny_llama, tiny_gptj])
def test_the_key_gets_the_value_and_orthogonal_keys_keep_theirs(make):
    lm = make()
    generator = torch.Generator().manual_seed(1)
    moment = positive_definite(lm.n_neurons)
    factor, added = factorised(moment, 0.1)
    assert not added
    key, *others = torch.randn(6, lm.n_neurons, dtype=torch.float64, generator=generator)
    value = torch.randn(16, dtype=torch.float64, generator=generator)
    direction = torch.linalg.solve(moment, key)
    # made orthogonal to the key in the metric of C^-1
    others = [k - (k @ direction) / (key @ direction) * key for k in others]
    before = [projected(lm, 1, k) for k in others]
    edit = rank_one_edit(lm, 1, key, value, factor)
    with edited(lm, edit):
        after = projected(lm, 1, key)
        assert ((after - value).norm() / value.norm()).item() < 1e-6
        for k, old in zip(others, before, strict=True):
            assert (projected(lm, 1, k) - old).abs().max().item() < 1e-6
        weight = matrix(lm.projections[1])
        assert not torch.allclose(projected(lm, 1, key + others[0]), projected(lm, 1, others[0]))
        assert weight.shape == (16, lm.n_neurons)


def test_it_is_the_smallest_change_in_the_metric_of_the_second_moment():
    """W' minimises tr (W' - W) C (W' - W)^T under W' k = v: any other solution is larger."""
    lm = tiny_llama()
    moment = positive_definite(lm.n_neurons, 4)
    factor, _ = factorised(moment, 0.1)
    generator = torch.Generator().manual_seed(5)
    key = torch.randn(lm.n_neurons, dtype=torch.float64, generator=generator)
    value = torch.randn(16, dtype=torch.float64, generator=generator)
    edit = rank_one_edit(lm, 0, key, value, factor)
    change = torch.outer(edit.right, edit.left)

    def size(d):
        return torch.trace(d @ moment @ d.T).item()

    for _ in range(5):
        d = torch.randn(16, lm.n_neurons, dtype=torch.float64, generator=generator)
        d -= torch.outer(d @ key, key) / (key @ key)  # d key = 0: still a solution
        assert size(change + 0.1 * d) > size(change)


def test_weights_come_back_bit_for_bit_also_after_an_error():
    lm = tiny_gptj()
    before = [p.clone() for p in lm.model.parameters()]
    factor, _ = factorised(positive_definite(lm.n_neurons), 0.1)
    edit = rank_one_edit(lm, 2, torch.ones(lm.n_neurons), torch.ones(16) / 3, factor)
    with pytest.raises(RuntimeError, match="stop"), edited(lm, edit):
        assert any(
            not torch.equal(a, b) for a, b in zip(before, lm.model.parameters(), strict=True)
        )
        raise RuntimeError("stop")
    assert all(torch.equal(a, b) for a, b in zip(before, lm.model.parameters(), strict=True))


def test_an_ffn_of_experts_is_refused():
    lm = tiny_llama()
    lm = replace(lm, family=replace(lm.family, experts=True))
    with pytest.raises(DataError, match="no single output projection"):
        rank_one_edit(lm, 0, torch.ones(24), torch.ones(16), torch.eye(24))


def facts_of(n_prefixes=2):
    """Two facts behind an empty and further prefixes."""
    found = []
    for seed in (1, 2):
        prompt, answer = ids(6, seed), ids(2, seed + 10)
        texts = [Tokens(prompt, answer, 1, 2)]
        for k in range(n_prefixes):
            prefix = ids(3 + k, seed + 20 + k)
            texts.append(Tokens([*prefix, *prompt], answer, 1 + len(prefix), 2 + len(prefix)))
        found.append(texts)
    return found, [Tokens(ids(4, seed), [0], 1, 2) for seed in (1, 2)]


def test_keys_are_means_over_prefixes():
    lm = tiny_llama()
    facts, _ = facts_of()
    found = mean_keys(lm, facts)
    for layer in range(lm.n_layers):
        for i, texts in enumerate(facts):
            keys = []
            for t in texts:
                seen = []
                handle = lm.projections[layer].register_forward_pre_hook(
                    lambda m, args, seen=seen: seen.append(args[0])
                )
                lm.model(input_ids=torch.tensor([t.prompt]))
                handle.remove()
                keys.append(seen[0][0, t.last])
            expected = torch.stack(keys).mean(0)
            assert torch.allclose(found[layer, i], expected, rtol=1e-9)


def search_one(lm, layer, texts, essence, settings):
    """The same search for one fact, one row and one pass at a time, in plain autograd."""
    projection, at = lm.projections[layer], {}

    def add(module, args, output):
        rows = output.clone()
        if "change" in at:
            rows[0, at["position"]] = rows[0, at["position"]] + at["change"]
        at["seen"] = rows[0, at["position"]]
        return rows

    handle = projection.register_forward_hook(add)

    def logits(tokens):
        at["position"] = tokens.last
        return lm.model(input_ids=torch.tensor([tokens.read])).logits[0].float()

    logits(texts[0])
    old = at["seen"].detach().clone()
    reference = torch.log_softmax(logits(essence)[len(essence.prompt) - 1], -1).detach()
    change = torch.zeros_like(old, dtype=torch.float32, requires_grad=True)
    optimiser = torch.optim.Adam([change], lr=settings.learning_rate)
    for step in range(settings.steps):
        at["change"] = change.to(old)
        losses = []
        for t in texts:
            log_p = torch.log_softmax(logits(t), -1)
            gold = [log_p[len(t.prompt) - 1 + m, y] for m, y in enumerate(t.answer)]
            losses.append(-torch.stack(gold).mean())
        after = torch.log_softmax(logits(essence)[len(essence.prompt) - 1], -1)
        kl = (after.exp() * (after - reference)).sum()
        loss = torch.stack(losses).mean() + settings.kl * kl
        loss = loss + settings.weight_decay * change.norm() / old.float().norm() ** 2
        if loss.item() < 0.05 or step == settings.steps - 1:
            break
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        most = settings.clamp * old.float().norm()
        with torch.no_grad():
            if change.norm() > most:
                change.mul_(most / change.norm())
    handle.remove()
    return old + change.detach().to(old)


@pytest.mark.parametrize("clamp", [4.0, 0.3])
def test_values_of_several_facts_are_those_of_each_alone(clamp):
    lm = tiny_llama()
    facts, essences = facts_of()
    settings = ValueSettings(steps=6, clamp=clamp)
    together = find_values(lm, 1, facts, essences, settings)
    for i, (texts, essence) in enumerate(zip(facts, essences, strict=True)):
        alone = search_one(lm, 1, texts, essence, settings)
        assert torch.allclose(together[i], alone, rtol=1e-4, atol=1e-5)


def test_the_value_makes_the_new_object_likelier():
    lm = tiny_llama()
    # without prefixes the key is that of the prompt, so the edit does what the search found
    facts, essences = facts_of(0)
    tokens = facts[0][0]
    factor, _ = factorised(positive_definite(lm.n_neurons), 0.1)

    def probability():
        logits = lm.model(input_ids=torch.tensor([tokens.prompt])).logits[0, -1]
        return torch.softmax(logits, -1)[tokens.answer[0]].item()

    before = probability()
    values = find_values(lm, 1, facts, essences, ValueSettings())
    keys = mean_keys(lm, facts)
    with edited(lm, rank_one_edit(lm, 1, keys[1, 0], values[0], factor)):
        assert probability() > 2 * before


def test_moments_are_those_of_all_tokens_whatever_the_chunks():
    lm = tiny_llama()
    texts = [ids(n, seed) for seed, n in enumerate((3, 9, 1, 5))]
    once, parts = Moments.empty(lm, [0, 2]), Moments.empty(lm, [0, 2])
    once.add(lm, texts)
    size = parts.total.numel()
    for text in texts:
        parts.add(lm, [text])
        assert parts.total.numel() == size  # memory does not grow with text
    assert torch.equal(once.total, parts.total)
    assert (once.n_tokens, once.n_texts) == (18, 4)
    keys = []
    handle = lm.projections[2].register_forward_pre_hook(lambda m, a: keys.append(a[0][0]))
    for text in texts:
        lm.model(input_ids=torch.tensor([text]))
    handle.remove()
    k = torch.cat(keys).numpy()
    assert np.allclose(once.mean(2).numpy(), k.T @ k / len(k), rtol=1e-10)


def test_a_singular_moment_is_regularised_and_said_so():
    k = torch.randn(5, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    moment = k.T @ k / 5
    factor, added = factorised(moment, 0.01)
    assert added
    expected = moment + 0.01 * moment.diagonal().mean() * torch.eye(12, dtype=torch.float64)
    assert torch.allclose(factor @ factor.T, expected)
    factor, added = factorised(torch.zeros(3, 3, dtype=torch.float64), 0.01)
    assert added and torch.equal(factor, torch.eye(3, dtype=torch.float64))
