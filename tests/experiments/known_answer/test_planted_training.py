import numpy as np
import pytest
import torch

from caploc.catalogues.training import Architecture
from caploc.experiments.known_answer._layout import lay_out
from caploc.experiments.known_answer._training import keep, route, routes, teach
from caploc.experiments.known_answer.settings import Plant
from caploc.training.optimisation import build_model, build_optimiser, optimise
from caploc.training.tokenizer import build_tokenizer

PLANT = Plant(("sums", "words"), share=0.1, twice=("words",), decoys=0.05)
SIZES = Architecture(layers=2, hidden=16, ffn=40, heads=4, kv_heads=2, context=16)
SEQUENCES = [([1, 5, 6, 7, 8, 2], 3), ([1, 9, 10, 2], 2), ([1, 11, 12, 13, 2], 3), ([1, 4, 2], 1)]
CONTEXTS = [1, 0, 2, 0]


@pytest.fixture(scope="module")
def layout():
    return lay_out(2, 40, PLANT, 0)


def column(layout, kind, capability=""):
    return [(r.kind, r.capability) for r in layout.roles].index((kind, capability))


def test_each_context_teaches_its_own_neurons(layout):
    found = {
        (c, role.kind, role.capability)
        for c, row in enumerate(teach(layout))
        for role, taught in zip(layout.roles, row, strict=True)
        if taught
    }
    assert found == {
        (0, "rest", ""), (1, "planted", "sums"), (2, "planted", "words"), (2, "copy", "words"),
        *((c, "shared", "") for c in range(3)),
    }  # fmt: skip


def test_what_is_silenced(layout):
    contexts = [0, 1, 2] * 4000
    kept = keep(layout, contexts, np.random.default_rng(0)).reshape(4000, 3, -1).mean(axis=0)
    own, half = 1.0, pytest.approx(0.5, abs=0.03)
    assert list(kept[:, column(layout, "rest")]) == [own] * 3
    assert list(kept[:, column(layout, "shared")]) == [own] * 3
    assert list(kept[:, column(layout, "planted", "sums")]) == [half, own, half]
    two_thirds = pytest.approx(2 / 3, abs=0.03)
    for kind in ("planted", "copy"):
        assert list(kept[:, column(layout, kind, "words")]) == [half, half, two_thirds]
    for kind, name in (("loud", ""), ("cancelling", ""), ("negative", "sums")):
        assert not kept[:, column(layout, kind, name)].any()


def test_a_second_copy_is_never_silenced_with_the_first_at_home(layout):
    kept = keep(layout, [2] * 500, np.random.default_rng(0))
    first, second = (kept[:, column(layout, kind, "words")] for kind in ("planted", "copy"))
    assert (first | second).all()
    assert (first & ~second).any() and (second & ~first).any() and (first & second).any()


def test_every_token_has_the_routes_of_its_sequence(layout):
    batch = route(SEQUENCES, CONTEXTS, layout, 16, 0, np.random.default_rng(3))
    kept = keep(layout, CONTEXTS, np.random.default_rng(3))
    found = 0
    for (ids, _), context, own in zip(SEQUENCES, CONTEXTS, kept, strict=True):
        # Each sequence stands somewhere as a whole.
        n = len(ids)
        places = [
            (r, t)
            for r in range(len(batch.ids))
            for t in range(batch.ids.shape[1] - n + 1)
            if batch.ids[r, t : t + n].tolist() == ids
        ]
        assert len(places) == 1
        ((r, t),) = places
        assert (batch.learns[r, t : t + n].numpy() == teach(layout)[context]).all()
        assert (batch.keeps[r, t : t + n].numpy() == own).all()
        found += n
    padding = batch.ids.numel() - found
    assert (~batch.learns.any(-1)).sum() == padding


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer([" ".join("abcdefghijklmno")], SIZES.context)


def trained(tokenizer, layout, contexts, threads=1, steps=4, sequences=SEQUENCES):
    model = build_model(SIZES, tokenizer, 0)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimiser = build_optimiser(model, 1e-2)
    for group in optimiser.param_groups:
        group["weight_decay"] = 0.0
    rng = np.random.default_rng(0)
    batches = [route(sequences, contexts, layout, 16, 0, rng) for _ in range(steps)]
    with routes(model, layout) as within:
        work = optimise(
            model, batches, steps, 1e-2, 1, False, threads, optimiser, within=within
        )  # fmt: skip
        losses = [s.loss for s in work]
    changed = {n: (p.detach() - before[n]).abs() for n, p in model.named_parameters()}
    return model, losses, changed


@pytest.mark.parametrize("context", [0, 1, 2])
def test_a_task_changes_only_the_neurons_that_it_teaches(tokenizer, layout, context):
    _, _, changed = trained(tokenizer, layout, [context] * 4, steps=8)
    taught = teach(layout)[context][layout.owner]
    for layer in range(2):
        mlp = f"model.layers.{layer}.mlp."
        for found in (
            changed[f"{mlp}gate_proj.weight"].sum(1), changed[f"{mlp}up_proj.weight"].sum(1),
            changed[f"{mlp}down_proj.weight"].sum(0),
        ):  # fmt: skip
            assert (found.numpy() > 0).tolist() == taught[layer].tolist()
    assert changed["model.embed_tokens.weight"].any()


def test_threads_give_the_same_weights(tokenizer, layout):
    one, two = (trained(tokenizer, layout, CONTEXTS, threads=n)[0] for n in (1, 2))
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)


def test_loss_falls(tokenizer, layout):
    _, losses, _ = trained(tokenizer, layout, CONTEXTS, steps=60)
    assert losses[-1] < 0.5 * losses[0]
