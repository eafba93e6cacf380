"""Every architecture of docs/families.md: its line is true, its scores are those of the definition.

Two layers, random weights; of models with experts the first layer is a plain FFN where they can
have one. An answer of two tokens beside one of one token, the first longer than the windows.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from families_page import refused, supported
from naive import naive_scores
from numpy.typing import NDArray
from test_families import PlainExperts
from tiny_architectures import ARCHITECTURES, DECLARED, in_float64, tiny_architecture
from tiny_models import ids
from torch import nn
from transformers.activations import ACT2FN
from transformers.models.bloom.modeling_bloom import BloomGelu

from caploc.attribution.engine import attribute
from caploc.attribution.injection import SITES
from caploc.attribution.model_check import check_model
from caploc.attribution.rules import path_rule
from caploc.forward.likelihood import answer_likelihood
from caploc.forward.silencing import Erasure
from caploc.models._experts import ffn_of
from caploc.models.families import bloom
from caploc.models.language_model import LanguageModel, wrap_model
from caploc.records import DataError

PAGE = (Path(__file__).parents[2] / "docs/families.md").read_text(encoding="utf-8")
RULE, STEPS = "right", 2
PROMPTS, ANSWERS = [ids(9, seed=0), ids(3, seed=1)], [ids(2, seed=50), ids(1, seed=51)]
ACTIVATIONS = (*{type(ACT2FN[name]) for name in ACT2FN}, nn.GELU, BloomGelu)


@contextmanager
def neurons_of(lm: LanguageModel, layer: int, site: str) -> Iterator[tuple[Any, int]]:
    """A module whose input (post) or output (pre) begins with the neurons, and how many."""
    block = lm.blocks[layer]
    ffn = ffn_of(block, lm.family.ffn_out)
    if not lm.family.experts:
        yield (
            block.get_submodule(lm.family.ffn_out if site == "post" else lm.family.ffn_in[0]),
            (lm.n_neurons),
        )
    elif isinstance(getattr(ffn, "down_proj", None), nn.Linear):
        yield (ffn.down_proj if site == "post" else ffn.gate_proj), ffn.down_proj.in_features
    else:
        plain, before = PlainExperts(ffn, site), ffn.forward
        ffn.forward = plain.forward
        try:
            yield plain.neurons, lm.n_neurons
        finally:
            ffn.forward = before


def largest_error(lm: LanguageModel, site: str) -> float:
    """Of all scores, as a part of the largest one of the sample."""
    found = attribute(lm, PROMPTS, ANSWERS, rule=RULE, steps=STEPS, site=site)
    path = path_rule(RULE, STEPS)
    points, weights = path.points.tolist(), path.weights.tolist()
    worst = 0.0
    # The second sample shows that samples do not disturb each other; one site is enough for that.
    for i, ours in enumerate(found[: 2 if site == "post" else 1]):
        expected = np.zeros_like(ours.scores)
        for layer in range(lm.n_layers):
            with neurons_of(lm, layer, site) as (module, width):
                naive = naive_scores(
                    lm.model, [module], PROMPTS[i], ANSWERS[i], points, weights, site, width
                )
            expected[layer, :width] = naive.mean[0].numpy()
        assert (np.abs(expected).max(1) > 0).all()
        worst = max(worst, float(np.abs(ours.scores - expected).max() / np.abs(expected).max()))
    return worst


def some_neurons(lm: LanguageModel) -> NDArray[np.bool_]:
    return np.random.default_rng(0).random((lm.n_layers, lm.n_neurons)) < 0.3


def erased_likelihood(lm: LanguageModel) -> list[float]:
    """Log-probability of each answer without some neurons, of both samples together."""
    ways = [Erasure(some_neurons(lm))]
    found: dict[int, float] = {}
    for chosen, part in answer_likelihood(lm, PROMPTS, ANSWERS, ways):
        found |= dict(zip(chosen, part.logprob[0].tolist(), strict=True))
    return [found[i] for i in range(len(PROMPTS))]


def erased_one_by_one(lm: LanguageModel) -> list[float]:
    """The same by whole passes of the model with hooks."""
    gone, found = torch.from_numpy(some_neurons(lm)), []
    handles = [
        p.register_forward_pre_hook(lambda _, args, m=m: (args[0].masked_fill(m, 0), *args[1:]))
        for p, m in zip(lm.projections, gone, strict=True)
    ]
    for prompt, answer in zip(PROMPTS, ANSWERS, strict=True):
        logits = lm.model(input_ids=torch.tensor([prompt + answer]), use_cache=False).logits[0]
        of_answer = logits[len(prompt) - 1 : -1].log_softmax(-1)
        found.append(float(of_answer.gather(1, torch.tensor(answer)[:, None]).sum()))
    for handle in handles:
        handle.remove()
    return found


def gates_are_activated(lm: LanguageModel) -> bool:
    """Does what comes out of the gate go into the nonlinearity, in every block?"""
    seen: dict[str, list[Any]] = {"gate": [], "act": []}

    def keep(name: str) -> Any:
        return lambda module, args, out: seen[name].append(args[0] if name == "act" else out)

    handles = [gate.register_forward_hook(keep("gate")) for gate in lm.gates]
    for block in lm.blocks:
        acts = [m for m in block.modules() if isinstance(m, ACTIVATIONS)]
        handles += [act.register_forward_hook(keep("act")) for act in dict.fromkeys(acts)]
    lm.model(input_ids=torch.tensor(PROMPTS[:1]), use_cache=False)
    for handle in handles:
        handle.remove()
    gates = [gate[..., : lm.n_neurons].reshape(-1, lm.n_neurons) for gate in seen["gate"]]
    acts = [act.reshape(-1, act.shape[-1]) for act in seen["act"]]
    return all(any(a.shape == g.shape and a.equal(g) for a in acts) for g in gates)


def test_page_has_every_architecture_once() -> None:
    rows = re.findall(r"^\| (\w+) \|", PAGE, re.M)
    assert sorted(rows) == sorted([*ARCHITECTURES, "architecture", "architecture"])
    assert "PASSES" not in PAGE, "a family should name these"
    n, m = len(DECLARED), len(ARCHITECTURES)
    assert f"transformers {transformers.__version__};" in PAGE and f" {n} of {m} arch" in PAGE


@pytest.mark.parametrize("name", sorted({*ARCHITECTURES} - {*DECLARED}))
def test_refused(name: str) -> None:
    with in_float64():
        assert f"\n{refused(name)}\n" in PAGE


@pytest.mark.parametrize("name", sorted(DECLARED))
def test_supported(name: str) -> None:
    model = tiny_architecture(name)
    with in_float64():
        lm = wrap_model(model)
        assert f"\n{supported(name, lm)}\n" in PAGE
        assert lm.family.experts or gates_are_activated(lm)
        for site in SITES:
            assert largest_error(lm, site) < 1e-9
        assert erased_likelihood(lm) == pytest.approx(erased_one_by_one(lm), rel=1e-9)


# A wrong line is seen ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wrong", "reason"),
    [
        ("CohereForCausalLM", {"logit_scale": ""}, "its logits are not the head"),
        ("NanoChatForCausalLM", {"logit_softcap": ""}, "its logits are not the head"),
        ("GraniteForCausalLM", {"logit_divisor": "", "logit_scale": "logits_scaling"}, "logits"),
        ("OPTForCausalLM", {"final_norm": "model.decoder.layers.1.final_layer_norm"}, "last norm"),
        ("GPTNeoForCausalLM", {"attention_method": "", "attention_code": None}, "no attention"),
    ],
)
def test_a_wrong_declaration_is_refused(name: str, wrong: dict[str, Any], reason: str) -> None:
    lm = wrap_model(tiny_architecture(name))
    lm = replace(lm, family=replace(lm.family, **wrong))
    with in_float64(), pytest.raises(DataError, match=reason):
        check_model(lm)


def test_a_gate_that_is_another_projection_is_seen() -> None:
    lm = wrap_model(tiny_architecture("LlamaForCausalLM"))
    assert gates_are_activated(lm)
    swapped = replace(lm.family, ffn_in=("mlp.up_proj", "mlp.gate_proj"))
    assert not gates_are_activated(replace(lm, family=swapped))


@pytest.mark.parametrize("name", ["CohereForCausalLM", "GPTNeoForCausalLM", "BloomForCausalLM"])
def test_comparison_catches_damage(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lm = wrap_model(tiny_architecture(name))
    with in_float64():
        check_model(lm)  # which would refuse what follows
        if name.startswith("Cohere"):
            monkeypatch.setattr(LanguageModel, "logit_scale", 0.505)
        elif name.startswith("GPTNeo"):
            lm.config.window_size += 1  # the model has its own table
        else:
            real = bloom.biased
            monkeypatch.setattr(bloom, "biased", lambda q, k, v, b: real(q, k, v, b * 1.01))
        assert largest_error(lm, "post") > 1e-5
