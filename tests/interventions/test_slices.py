"""Slice training against full training with a gradient mask, in float64."""

import math

import numpy as np
import pytest
import torch
from tiny_families import FAMILIES
from tiny_models import ids, tiny_gptj, tiny_llama
from transformers.pytorch_utils import Conv1D

from caploc.forward.answer_pass import answer_pass
from caploc.interventions.fitting import Recipe, Training
from caploc.interventions.slices import Slices
from caploc.records import DataError

SAMPLES = [(ids(3 + i % 4, i), ids(1 + i % 3, 100 + i)) for i in range(10)]


def gptj():
    """GPT-J with attention scores in float64 (its own are float32) and the usual mask."""
    lm = tiny_gptj(exact=False)
    for block in lm.model.transformer.h:
        block.attn._attn = _attend
    return lm


def _attend(query, key, value, mask=None):
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    seen = mask[..., : key.shape[-2]]
    seen = seen if seen.dtype == torch.bool else seen == 0
    return torch.softmax(scores.masked_fill(~seen, -1e300), -1) @ value, None


MODELS = {
    "llama": lambda: tiny_llama(3),
    "llama, tied": lambda: tiny_llama(3, tie_word_embeddings=True),
    "gptj": gptj,
}
RATE, BATCH, N_STEPS = 0.01, 4, 7


def a_mask(lm, n=5, seed=1):
    """A few neurons, none of them in the last layer."""
    mask = np.zeros((lm.n_layers, lm.n_neurons), dtype=bool)
    places = np.random.default_rng(seed).permutation((lm.n_layers - 1) * lm.n_neurons)[:n]
    mask.reshape(-1)[places] = True
    return mask


def weights(lm):
    return {name: tensor.detach().clone() for name, tensor in lm.model.state_dict().items()}


def owned(lm, mask, part="both"):
    """The definition: for each weight, True where it belongs to a chosen neuron."""
    found = {name: torch.zeros_like(t, dtype=torch.bool) for name, t in weights(lm).items()}
    names = {"llama": ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"), "gptj": ("mlp.fc_in",)}
    blocks = lm.family.blocks
    for layer, neuron in zip(*np.nonzero(mask), strict=True):
        rows = [n for n in names[lm.family.name] if "down" not in n]
        out = "mlp.down_proj" if lm.family.name == "llama" else "mlp.fc_out"
        if part != "out":
            for row in rows:
                found[f"{blocks}.{layer}.{row}.weight"][neuron, :] = True
                if f"{blocks}.{layer}.{row}.bias" in found:
                    found[f"{blocks}.{layer}.{row}.bias"][neuron] = True
        if part != "in":
            found[f"{blocks}.{layer}.{out}.weight"][:, neuron] = True
    return found


def naive_loss(lm, batch):
    """Sample by sample, without padding."""
    tokens = []
    for prompt, answer in batch:
        logits = lm.model(torch.tensor([[*prompt, *answer]])).logits[0]
        for m, token in enumerate(answer):
            tokens.append(torch.log_softmax(logits[len(prompt) - 1 + m], -1)[token])
    return -torch.stack(tokens).mean()


def train_everything_with_a_mask(lm, mask, part):
    """Every weight has a gradient and optimiser state; gradients outside the mask are set to 0."""
    keep = owned(lm, mask, part)
    parameters = dict(lm.model.named_parameters())
    lm.model.requires_grad_(True)
    optimiser = torch.optim.AdamW(
        parameters.values(), lr=RATE, betas=(0.9, 0.999), weight_decay=0.0
    )
    generator = torch.Generator().manual_seed(3)
    order = []
    for _ in range(N_STEPS):
        order = order or torch.randperm(len(SAMPLES), generator=generator).tolist()
        batch, order = [SAMPLES[i] for i in order[:BATCH]], order[BATCH:]
        optimiser.zero_grad()
        naive_loss(lm, batch).backward()
        for name, parameter in parameters.items():
            if parameter.grad is not None:
                parameter.grad *= keep[name]
        optimiser.step()
    lm.model.requires_grad_(False)


def train_slices(lm, slices, n_steps=N_STEPS):
    training = Training(lm, slices, SAMPLES, Recipe(RATE, BATCH, seed=3))
    for _ in range(n_steps):
        training.step()
    return training


@pytest.mark.parametrize("most", [False, True])
@pytest.mark.parametrize("part", ["both", "in", "out"])
@pytest.mark.parametrize("kind", MODELS)
def test_slices_train_as_full_training_with_a_gradient_mask(kind, part, most):
    """Few neurons, or all others: their gradients are formed in two ways."""
    lm, reference = MODELS[kind](), MODELS[kind]()
    mask = a_mask(lm) ^ most
    before = weights(lm)
    slices = Slices(lm, mask, part)
    train_slices(lm, slices)
    train_everything_with_a_mask(reference, mask, part)
    found, wanted, inside = weights(lm), weights(reference), owned(lm, mask, part)
    assert slices.n_trained == sum(int(t.sum()) for t in inside.values())
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, wanted[name], rtol=0, atol=1e-9)
        assert torch.equal(tensor[~inside[name]], before[name][~inside[name]])
        if inside[name].any():
            assert (tensor != before[name])[inside[name]].any()


@pytest.mark.parametrize("kind", MODELS)
def test_what_trains_is_what_the_model_then_computes(kind):
    """The last loss of the loop is the loss of an ordinary forward pass with the weights."""
    lm = MODELS[kind]()
    slices = Slices(lm, a_mask(lm))
    train_slices(lm, slices)
    with torch.no_grad():
        inside = answer_pass(lm, SAMPLES)
        inside = -inside.logprob[inside.batch.counts].mean()
        with slices.training():
            patched = answer_pass(lm, SAMPLES)
        patched = -patched.logprob[patched.batch.counts].mean()
        assert inside.item() == pytest.approx(naive_loss(lm, SAMPLES).item(), abs=1e-12)
        assert patched.item() == inside.item()


@pytest.mark.parametrize("kind", MODELS)
def test_the_original_weights_come_back_bit_for_bit(kind):
    lm = MODELS[kind]()
    before = weights(lm)
    slices = Slices(lm, ~a_mask(lm))
    train_slices(lm, slices)
    assert any(not torch.equal(t, before[n]) for n, t in weights(lm).items())
    slices.restore()
    assert all(torch.equal(t, before[n]) for n, t in weights(lm).items())
    projections = [m for m in lm.model.modules() if isinstance(m, torch.nn.Linear)]
    assert not any("forward" in module.__dict__ for module in projections)


def test_memory_grows_with_the_mask_alone():
    lm = tiny_llama(3)
    slices = Slices(lm, a_mask(lm))
    training = train_slices(lm, slices)
    gradients = [v.grad.nbytes for v in slices.values.values()]
    moments = sum(
        t.nbytes
        for state in training._optimiser.state.values()
        for t in state.values()
        if torch.is_tensor(t)
    )
    held = sum(v.nbytes for v in slices.values.values()) + sum(gradients) + moments
    held += sum(t.nbytes for t in slices._initial.values())
    in_float32 = held / 2  # the tiny models are float64
    assert in_float32 <= 2 * 16 * slices.n_trained
    assert all(p.grad is None for p in lm.model.parameters())


def test_weights_of_16_bits_train_in_a_wider_copy():
    lm = tiny_llama(3)
    lm.model.bfloat16()
    before = weights(lm)
    slices = Slices(lm, a_mask(lm))
    assert {v.dtype for v in slices.values.values()} == {torch.float32}
    slices.write()
    assert all(torch.equal(t, before[n]) for n, t in weights(lm).items())
    training = Training(lm, slices, SAMPLES, Recipe(1e-5, 4, seed=0))
    for _ in range(40):  # one step alone would round away in bfloat16
        training.step()
    inside = owned(lm, a_mask(lm))
    changed = {n: t != before[n] for n, t in weights(lm).items()}
    assert any(c.any() for c in changed.values())
    assert not any((c & ~inside[n]).any() for n, c in changed.items())


@pytest.mark.parametrize("most", [False, True])
def test_a_transposed_projection_is_sliced_along_its_other_axis(most):
    """GPT-2 keeps weights as (in, out)."""
    plain, turned = gptj(), gptj()
    for block in turned.model.transformer.h:
        for name in ("fc_in", "fc_out"):
            linear = getattr(block.mlp, name)
            module = Conv1D(linear.out_features, linear.in_features).double()
            module.weight = torch.nn.Parameter(linear.weight.T.clone(), requires_grad=False)
            module.bias = torch.nn.Parameter(linear.bias.clone(), requires_grad=False)
            setattr(block.mlp, name, module)
    for lm in (plain, turned):
        train_slices(lm, Slices(lm, a_mask(lm) ^ most))
    for a, b in zip(plain.model.transformer.h, turned.model.transformer.h, strict=True):
        torch.testing.assert_close(a.mlp.fc_in.weight, b.mlp.fc_in.weight.T, rtol=0, atol=1e-12)
        torch.testing.assert_close(a.mlp.fc_out.weight, b.mlp.fc_out.weight.T, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lm: np.ones((2, 24), bool), "mask of shape .2, 24., the model has 3 layers"),
        (lambda lm: np.zeros((3, 24), bool), "the mask is empty"),
    ],
)  # fmt: skip
def test_masks_that_cannot_be_trained(change, message):
    lm = tiny_llama(3)
    with pytest.raises(DataError, match=message):
        Slices(lm, change(lm))


def test_an_unknown_part_is_refused():
    lm = tiny_llama(3)
    with pytest.raises(DataError, match="part 'rows'; expected one of both, in, out"):
        Slices(lm, a_mask(lm), "rows")


def test_experts_that_share_a_parameter_are_refused():
    lm = FAMILIES["olmoe"]()
    with pytest.raises(DataError, match="family olmoe: the weights of its experts are one param"):
        Slices(lm, np.ones((lm.n_layers, lm.n_neurons), bool))
