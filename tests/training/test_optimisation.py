import itertools
import math

import pytest
import torch

from caploc.catalogues.training import Architecture
from caploc.training.optimisation import (
    build_model,
    learning_rate,
    native_bfloat16,
    optimise,
)
from caploc.training.packing import pack
from caploc.training.tokenizer import build_tokenizer

SIZES = Architecture(layers=2, hidden=16, ffn=24, heads=4, kv_heads=2, context=16)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer([" ".join("abcdefghijklmno")], SIZES.context)


def batches(n):
    sequences = [([1, 5, 6, 7, 8, 2], 3), ([1, 9, 10, 2], 2), ([1, 11, 12, 13, 2], 3)]
    return [pack(sequences, 16, 0)] * n


def test_learning_rate():
    rates = [learning_rate(s, 100, 1e-2, 10) for s in range(100)]
    assert rates[0] == pytest.approx(1e-3)
    assert rates[9] == rates[10] == pytest.approx(1e-2)
    assert max(rates) == pytest.approx(1e-2)
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))
    assert rates[55] == pytest.approx(1e-2 * (0.02 + 0.98 * 0.5))
    assert rates[-1] == pytest.approx(2e-4, rel=0.05)
    assert learning_rate(0, 5, 1.0, 0) == 1.0


def test_architecture(tokenizer):
    model = build_model(SIZES, tokenizer, 0)
    assert len(model.model.layers) == 2
    assert model.model.layers[0].mlp.down_proj.weight.shape == (16, 24)
    assert model.model.embed_tokens.weight.shape == (len(tokenizer), 16)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model.config.eos_token_id == tokenizer.eos_token_id
    assert model.config.max_position_embeddings == 16


def test_the_seed_decides_the_weights(tokenizer):
    one, same, other = (build_model(SIZES, tokenizer, seed).lm_head.weight for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_loss_falls_and_begins_at_a_guess(tokenizer):
    model = build_model(SIZES, tokenizer, 0)
    steps = list(optimise(model, batches(60), 60, 1e-2, 5, bfloat16=False))
    assert len(steps) == 60
    assert steps[0].loss == pytest.approx(math.log(len(tokenizer)), abs=0.5)
    assert steps[-1].loss < 0.2
    assert steps[0].n_tokens == 12
    assert not model.training


def test_loss_covers_the_learned_tokens_only(tokenizer):
    model = build_model(SIZES, tokenizer, 0)
    step = next(optimise(model, batches(1), 1, 0.0, 0, bfloat16=False))
    total, n = 0.0, 0
    with torch.no_grad():
        for ids, first in (([1, 5, 6, 7, 8, 2], 3), ([1, 9, 10, 2], 2), ([1, 11, 12, 13, 2], 3)):
            logits = model(input_ids=torch.tensor([ids])).logits[0].double()
            for place in range(first, len(ids)):
                total -= torch.log_softmax(logits[place - 1], -1)[ids[place]].item()
                n += 1
    assert step.loss == pytest.approx(total / n, rel=1e-5)


def test_halves_of_a_batch_give_the_gradients_of_the_whole(tokenizer):
    """Against one backward pass over single sequences, in float64, before the first step."""
    model = build_model(SIZES, tokenizer, 0).double()
    sequences = [(list(range(1, 14)), 3), (list(range(2, 12)), 2), ([1, 9, 10, 2], 2)]
    batch = pack(sequences, 16, 0)
    assert len(batch.ids) == 2
    loss, n = 0.0, 0
    for ids, first in sequences:
        logits = model(input_ids=torch.tensor([ids])).logits[0]
        for place in range(first, len(ids)):
            loss = loss - torch.log_softmax(logits[place - 1], -1)[ids[place]]
            n += 1
    wanted = torch.autograd.grad(loss / n, list(model.parameters()))
    norm = math.sqrt(sum(g.square().sum().item() for g in wanted))
    next(optimise(model, [batch], 1, 0.0, 0, bfloat16=False))
    for parameter, gradient in zip(model.parameters(), wanted, strict=True):
        # the clipped gradient is left behind; norms of Llama compute in float32
        found = parameter.grad * max(1.0, norm)
        assert torch.allclose(found, gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test_the_number_of_threads_changes_nothing(tokenizer, n_rows):
    results = []
    batch = pack(
        [(list(range(1, 14)), 3), (list(range(2, 16)), 2), (list(range(3, 12)), 2)][:n_rows], 16, 0
    )
    for threads in (1, 2, 2):
        model = build_model(SIZES, tokenizer, 0)
        list(optimise(model, [batch] * 4, 4, 1e-2, 1, bfloat16=False, threads=threads))
        results.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_same_seed_same_weights(tokenizer):
    def trained():
        model = build_model(SIZES, tokenizer, 3)
        list(optimise(model, batches(5), 5, 1e-2, 1, bfloat16=False))
        return model.state_dict()

    one, other = trained(), trained()
    assert all(torch.equal(one[k], other[k]) for k in one)


def test_bfloat16_keeps_float32_weights(tokenizer):
    model = build_model(SIZES, tokenizer, 0)
    steps = list(optimise(model, batches(3), 3, 1e-2, 0, bfloat16=True))
    assert all(math.isfinite(step.loss) for step in steps)
    assert all(p.dtype == torch.float32 for p in model.parameters())


@pytest.mark.parametrize(
    ("text", "native"),
    [
        ("flags : fpu avx2 fma", False),
        ("flags : fpu avx512f avx512_bf16", True),
        ("flags : amx_bf16 amx_tile", True),
        ("Features : fp asimd bf16 i8mm", True),
    ],
)
def test_bfloat16_is_used_where_the_processor_has_it(monkeypatch, text, native):
    monkeypatch.setattr("pathlib.Path.read_text", lambda *a, **k: text)
    assert native_bfloat16() is native


def test_without_processor_description(monkeypatch):
    def missing(*a, **k):
        raise FileNotFoundError

    monkeypatch.setattr("pathlib.Path.read_text", missing)
    assert native_bfloat16() is False
