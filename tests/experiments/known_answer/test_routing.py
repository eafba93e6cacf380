"""Routed gradients against autograd through weights that are detached token by token."""

import numpy as np
import pytest
import torch
from tiny_models import tiny_llama

from caploc.experiments.known_answer import _routing
from caploc.experiments.known_answer._routing import routed

ROWS, TOKENS, ROLES, FFN = 3, 5, 4, 24


def tiny():
    model = tiny_llama(2).model
    model.requires_grad_(True)
    return model


def choices():
    rng = np.random.default_rng(1)
    owner = torch.from_numpy(rng.integers(ROLES, size=(2, FFN)))
    learns, keeps = (
        torch.from_numpy(rng.integers(2, size=(ROWS, TOKENS, ROLES)).astype(bool)) for _ in range(2)
    )
    ids = torch.from_numpy(rng.integers(11, size=(ROWS, TOKENS)))
    return owner, learns, keeps, ids


def slow(model, owner, learns, keeps, ids):
    """Loss and gradients with one weight matrix a token, its entries detached where not taught."""

    def ffn(layer, mlp):
        teach = learns[..., owner[layer]].double()  # (row, token, neuron)
        kept = keeps[..., owner[layer]].double()

        def weights(matrix):  # (row, token, neuron, width)
            part = teach[..., None]
            return part * matrix + (1 - part) * matrix.detach()

        def forward(x):
            gate = torch.einsum("rtjd,rtd->rtj", weights(mlp.gate_proj.weight), x)
            up = torch.einsum("rtjd,rtd->rtj", weights(mlp.up_proj.weight), x)
            h = gate * torch.sigmoid(gate) * up * kept
            return torch.einsum("rtjd,rtj->rtd", weights(mlp.down_proj.weight.T), h)

        return forward

    for layer, block in enumerate(model.model.layers):
        block.mlp.forward = ffn(layer, block.mlp)
    loss = model(ids).logits.square().sum()
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    for block in model.model.layers:
        del block.mlp.forward
    return loss, gradients


def fast(model, owner, learns, keeps, ids):
    with routed(model, owner) as routing, routing.tokens(learns, keeps):
        loss = model(ids).logits.square().sum()
        return loss, torch.autograd.grad(loss, list(model.parameters()))


def differences(one, other):
    return [float((a - b).abs().max() / b.abs().max()) for a, b in zip(one, other, strict=True)]


def test_loss_and_every_gradient_are_those_of_detached_weights():
    model, some = tiny(), choices()
    loss, gradients = fast(model, *some)
    wanted, slowly = slow(model, *some)
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-12)
    assert max(differences(gradients, slowly)) < 1e-10


def test_the_comparison_sees_a_damaged_routine(monkeypatch):
    """Weights that learn from every token: only gradients of the FFN are wrong."""
    model, some = tiny(), choices()
    _, wanted = slow(model, *some)
    monkeypatch.setattr(
        _routing.Routing, "learns",
        lambda self, layer: torch.ones(ROWS, TOKENS, FFN),
    )  # fmt: skip
    _, gradients = fast(model, *some)
    wrong = {
        name
        for (name, _), d in zip(
            model.named_parameters(), differences(gradients, wanted), strict=True
        )
        if d > 1e-6
    }
    assert wrong == {n for n, _ in model.named_parameters() if ".mlp." in n}


def test_values_and_input_gradients_are_those_of_the_ordinary_model():
    model, (owner, learns, keeps, ids) = tiny(), choices()
    x = model.model.embed_tokens(ids).detach().requires_grad_()
    everything = torch.ones_like(keeps)
    with routed(model, owner) as routing, routing.tokens(learns, everything):
        found = model(inputs_embeds=x).logits
        slope = torch.autograd.grad(found.square().sum(), x)[0]
    plain = model(inputs_embeds=x).logits
    assert torch.allclose(found, plain, rtol=1e-12)
    assert torch.allclose(slope, torch.autograd.grad(plain.square().sum(), x)[0], rtol=1e-10)


def test_weights_that_no_token_teaches_have_no_gradient():
    model, (owner, learns, keeps, ids) = tiny(), choices()
    learns[..., 2] = False
    _, gradients = fast(model, owner, learns, torch.ones_like(keeps), ids)
    found = dict(zip([n for n, _ in model.named_parameters()], gradients, strict=True))
    for layer in range(2):
        of = owner[layer] == 2
        mlp = f"model.layers.{layer}.mlp."
        assert not found[f"{mlp}gate_proj.weight"][of].any()
        assert not found[f"{mlp}down_proj.weight"][:, of].any()
        assert found[f"{mlp}down_proj.weight"][:, ~of].any()


def test_bfloat16_gives_float32_gradients():
    model, (owner, learns, keeps, ids) = tiny().float(), choices()
    _, exact = fast(model, owner, learns, keeps, ids)
    with torch.autocast("cpu", torch.bfloat16):
        _, gradients = fast(model, owner, learns, keeps, ids)
    assert {g.dtype for g in gradients} == {torch.float32}
    assert max(differences(gradients, exact)) < 0.2


def test_the_model_is_ordinary_afterwards():
    model, (owner, *_) = tiny(), choices()
    before = [m for m in model.modules() if "forward" in m.__dict__]
    with routed(model, owner):
        assert len([m for m in model.modules() if "forward" in m.__dict__]) == len(before) + 2
    assert [m for m in model.modules() if "forward" in m.__dict__] == before
