"""Every decoder family against the definition, in float64.

Samples of unequal length in one batch, one and several answer tokens, longer than the windows.
"""

import copy
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from naive import Naive, naive_scores, probability_of
from test_engine import check, worst
from tiny_families import (
    FAMILIES,
    GPT2_LIKE,
    LLAMA_LIKE,
    MOE_LIKE,
    softmax_in_float64,
    tiny,
    tiny_model,
)
from tiny_models import ids
from torch import Tensor, nn
from transformers.models.falcon import modeling_falcon

import caploc
from caploc.attribution import head, prefix_attention
from caploc.attribution.engine import attribute
from caploc.attribution.injection import SITES
from caploc.attribution.model_check import check_model
from caploc.attribution.neuronwise import attribute_neurons
from caploc.attribution.rules import path_rule
from caploc.models.language_model import LanguageModel, wrap_model
from caploc.models.loading import load_model
from caploc.records import DataError

RULE, STEPS = "inclusive", 2
PATH = path_rule(RULE, STEPS)
SHAPES = [(9, 2), (3, 1), (1, 2)]
PROMPTS = [ids(x, seed=i) for i, (x, _) in enumerate(SHAPES)]
ANSWERS = [ids(y, seed=50 + i) for i, (_, y) in enumerate(SHAPES)]
GUIDE = Path(__file__).parents[2] / "docs" / "adding-a-family.md"


def state(lm: LanguageModel) -> tuple[Any, ...]:
    modules = [
        (len(m._forward_hooks), len(m._forward_pre_hooks), sorted(m.__dict__))
        for m in lm.model.modules()
    ]
    return modules, lm.model.config.to_dict(), lm.model.config._attn_implementation


class PlainExperts(nn.Module):
    """Experts without any routing trick: all of them run, those not chosen count 0.

    The routing weight is applied behind the output projection, as in the model's own code.
    """

    def __init__(self, experts: Any, site: str) -> None:
        super().__init__()
        self.site, self.neurons = site, nn.Identity()
        # Not parameters of this module.
        self.gate_up, self.down = experts.gate_up_proj.data, experts.down_proj.data
        self.biases = self.down.new_zeros(1), self.down.new_zeros(len(self.down), 1)
        self.interleaved = not experts.is_concatenated
        self.act = experts._apply_gate
        if experts.is_transposed:
            self.gate_up, self.down = self.gate_up.mT, self.down.mT
        if experts.has_bias:
            self.biases = experts.gate_up_proj_bias.data, experts.down_proj_bias.data

    def forward(self, x: Tensor, index: Tensor, weights: Tensor) -> Tensor:
        share = sum(
            (index[:, k, None] == torch.arange(len(self.down))) * weights[:, k, None]
            for k in range(index.shape[1])
        )
        both = torch.einsum("td,eud->teu", x, self.gate_up) + self.biases[0]
        gate, up = (both[..., ::2], both[..., 1::2]) if self.interleaved else both.chunk(2, -1)
        chosen = (share > 0)[..., None]
        if self.site == "pre":
            gate = self.neurons((gate * chosen).flatten(1)).view_as(gate)
        joined = torch.stack([gate, up], -1) if self.interleaved else torch.stack([gate, up], -2)
        h = self.act(joined.flatten(-2)) * chosen
        if self.site == "post":
            h = self.neurons(h.flatten(1)).view_as(h)
        return torch.einsum("teu,edu,te->td", h, self.down, share) + share @ self.biases[1]


@contextmanager
def neuron_modules(lm: LanguageModel, site: str) -> Iterator[list[Any]]:
    """Per layer a module whose input (post) or output (pre) are the neurons."""
    name = lm.family.ffn_out if site == "post" or lm.family.experts else lm.family.ffn_in[0]
    modules = [block.get_submodule(name) for block in lm.blocks]
    if not lm.family.experts:
        yield modules
        return
    plain = [PlainExperts(experts, site) for experts in modules]
    before = [experts.forward for experts in modules]
    try:
        for experts, new in zip(modules, plain, strict=True):
            experts.forward = new.forward
        yield [new.neurons for new in plain]
    finally:
        for experts, old in zip(modules, before, strict=True):
            experts.forward = old


def definition(lm: LanguageModel, i: int, site: str = "post") -> Naive:
    points, weights = PATH.points.tolist(), PATH.weights.tolist()
    with neuron_modules(lm, site) as modules:
        return naive_scores(
            lm.model, modules, PROMPTS[i], ANSWERS[i], points, weights, site, lm.n_neurons
        )


# Layers with fewer neurons are compared in test_architectures.
@pytest.mark.parametrize("name", [name for name in FAMILIES if "plain layer" not in name])
def test_equals_the_definition(name: str) -> None:
    lm = FAMILIES[name]()
    text = torch.tensor([PROMPTS[0] + ANSWERS[0]])
    with softmax_in_float64():
        for site in SITES:
            logits, before = lm.model(text).logits, state(lm)
            found = attribute(lm, PROMPTS, ANSWERS, rule=RULE, steps=STEPS, site=site)
            # Bit for bit the model it was.
            torch.testing.assert_close(lm.model(text).logits, logits, rtol=0, atol=0)
            assert state(lm) == before
            for i, ours in enumerate(found):
                assert np.abs(ours.scores).max() > 1e-5
                check(ours, definition(lm, i, site), 1e-9)


@pytest.mark.parametrize("name", ["Llama", "Gemma2", "Gemma3", "Olmoe"])
def test_models_as_they_are(name: str) -> None:
    """With the parts that round to float32, which the comparison above replaces."""
    settings: dict[str, Any] = {"exact": False}
    if name.startswith("Gemma"):
        settings |= {"final_logit_softcapping": 3.0, "sliding_window": 4}
    if name == "Gemma2":
        settings |= {"attention": "eager", "attn_logit_softcapping": 2.0}
    base = MOE_LIKE | {"intermediate_size": 6} if name == "Olmoe" else LLAMA_LIKE
    lm = tiny(name, base, **settings)
    (found,) = attribute(lm, PROMPTS[:1], ANSWERS[:1], rule=RULE, steps=STEPS)
    expected = definition(lm, 0).mean.numpy()
    assert np.abs(found.scores - expected).max() < 2e-6 * np.abs(expected).max()


@pytest.mark.parametrize(
    "name", ["gpt2", "opt", "phi3", "falcon, alibi", "gemma2", "gemma3", "mistral", "olmoe"]
)
def test_neurons_scaled_alone(name: str) -> None:
    """The neuron of each layer that has the largest score, one answer token."""
    lm = FAMILIES[name]()
    prompt, answer = PROMPTS[0], ANSWERS[0][:1]
    with softmax_in_float64():
        for site in SITES:
            (whole,) = attribute(lm, [prompt], [answer], rule=RULE, steps=STEPS, site=site)
            chosen = [(k, int(j)) for k, j in enumerate(np.abs(whole.scores).argmax(1))]
            found = attribute_neurons(lm, prompt, answer, chosen, rule=RULE, steps=STEPS, site=site)
            with neuron_modules(lm, site) as modules:
                for i, (layer, j) in enumerate(chosen):
                    expected = alone(lm, modules[layer], prompt, answer[0], j, site)
                    assert found.scores[i] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def alone(
    lm: LanguageModel, module: Any, prompt: list[int], token: int, j: int, site: str
) -> float:
    """Score of one neuron by whole forward passes."""
    settings = {"site": site, "width": lm.n_neurons}
    value = probability_of(lm.model, module, prompt, token, **settings)[1][j]
    total = 0.0
    for point, weight in zip(PATH.points.tolist(), PATH.weights.tolist(), strict=True):
        scaled = (point * value).clone().requires_grad_(True)

        def change(w: Tensor, scaled: Tensor = scaled) -> Tensor:
            return torch.cat([w[:j], scaled[None], w[j + 1 :]])

        p, _ = probability_of(lm.model, module, prompt, token, change, **settings)
        total += weight * torch.autograd.grad(p, scaled)[0].item()
    return float(value) * total


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_check_tells_how_neurons_are_changed(dtype: torch.dtype) -> None:
    """By the model, not by its name; rounding in 16 bits does not mislead it."""
    for family, name in LOADED.items():
        lm = FAMILIES[name]()
        lm.model.to(dtype)
        assert check_model(lm, "post") is (family not in ("gemma2", "gemma3", "olmo2")), name
        assert check_model(lm, "pre") is False


# Damage is seen ----------------------------------------------------------------------------------


def without(function: Callable[..., Any], **fixed: Any) -> Callable[..., Any]:
    return lambda *args, **settings: function(*args, **settings | fixed)


@pytest.mark.parametrize("what", ["window", "cap of scores", "cap of logits", "alibi", "experts"])
def test_comparison_catches_damage(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"window": "mistral", "alibi": "falcon, alibi", "experts": "olmoe"}
    lm = FAMILIES[names.get(what, "gemma2")]()
    call = prefix_attention.PrefixAttention.__call__
    with softmax_in_float64():
        attribute(lm, [[1, 2]], [[3]], steps=1)  # the check of the model is behind us
        expected = definition(lm, 0)
        if what == "window":
            mask = prefix_attention.Prefix.mask
            wider = lambda self, window: mask(self, window + 1)  # noqa: E731
            monkeypatch.setattr(prefix_attention.Prefix, "mask", wider)
        elif what == "cap of scores":
            new = without(call, softcap=1.6)
            monkeypatch.setattr(prefix_attention.PrefixAttention, "__call__", new)
        elif what == "cap of logits":
            original = head.answer_probability
            for module in ("scoring", "streams"):
                monkeypatch.setattr(
                    f"caploc.attribution.{module}.answer_probability",
                    lambda h, x, y, c, *rest: original(h, x, y, c * 1.01, *rest),
                )
        elif what == "alibi":
            build = modeling_falcon.build_alibi_tensor
            monkeypatch.setattr(
                modeling_falcon, "build_alibi_tensor", lambda *a, **k: build(*a, **k) * 1.01
            )
        else:
            projection = lm.projections[1]
            weight = lm.blocks[1].mlp.experts.down_proj * 1.001
            monkeypatch.setattr(type(projection), "_down", weight)
        (found,) = attribute(lm, PROMPTS[:1], ANSWERS[:1], rule=RULE, steps=STEPS)
    assert worst(found.scores, expected.mean) > 1e-5


# Loading -----------------------------------------------------------------------------------------

LOADED = {FAMILIES[name]().family.name: name for name in FAMILIES}


@pytest.mark.parametrize("family", LOADED)
def test_loads_from_a_folder(family: str, save_model: Callable[..., Path]) -> None:
    lm = FAMILIES[LOADED[family]]()
    folder = save_model()  # with a tokenizer
    (folder / "model.safetensors").unlink()
    lm.model.save_pretrained(folder)
    loaded = load_model(folder, dtype="float64")
    assert (loaded.family.name, loaded.n_layers, loaded.n_neurons, loaded.context) == (
        family, 3, lm.n_neurons, lm.context,
    )  # fmt: skip
    assert lm.context == 64 or family == "bloom"  # which has no table of positions
    text = torch.tensor([PROMPTS[0]])
    torch.testing.assert_close(loaded.model(text).logits, lm.model(text).logits, rtol=0, atol=1e-4)
    (found,) = attribute(loaded, PROMPTS[:1], ANSWERS[:1], steps=1)
    assert found.scores.shape == (3, lm.n_neurons) and found.scores.any(1).all()


def test_width_of_transposed_weights_is_checked() -> None:
    model = tiny_model("GPT2", GPT2_LIKE)
    model.config.n_inner = 23
    with pytest.raises(DataError, match=r"mlp\.c_proj takes 24 inputs but config\.n_inner is 23"):
        wrap_model(model)


def test_members_that_lack_a_part_are_refused() -> None:
    settings: dict[str, Any] = {"ffn_dim": 24, "word_embed_proj_dim": 16}
    with pytest.raises(DataError, match=r"has no model\.decoder\.final_layer_norm"):
        tiny("OPT", do_layer_norm_before=False, **settings)
    settings = {"mlp_only_layers": [1], "moe_intermediate_size": 6}
    with pytest.raises(DataError, match=r"mlp\.experts takes 40 inputs but .* is 30"):
        tiny("Qwen3Moe", MOE_LIKE, **settings | {"intermediate_size": 40})
    plain = tiny("Qwen3Moe", MOE_LIKE, **settings)
    assert [p.in_features for p in plain.projections] == [30, 30, 30]
    with pytest.raises(DataError, match=r"class Linear has neither experts"):
        plain.blocks[1].mlp = torch.nn.Linear(16, 16)
        wrap_model(plain.model)


def test_experts_are_put_back() -> None:
    model = tiny_model("Olmoe", MOE_LIKE, intermediate_size=6)
    before = {name: sorted(m.__dict__) for name, m in model.named_modules()}
    found = caploc.attribute(model, PROMPTS[0], ANSWERS[0], steps=2)
    assert found.scores.shape == (3, 30)
    # Only the two experts of a token have neurons: one token cannot score a third one.
    one = caploc.attribute(model, PROMPTS[0], ANSWERS[0][:1], steps=2)
    assert ((one.scores.reshape(3, 5, 6) != 0).any(-1).sum(-1) == 2).all()
    assert {name: sorted(m.__dict__) for name, m in model.named_modules()} == before


def test_a_copy_of_a_model_has_its_own_experts() -> None:
    lm = FAMILIES["olmoe"]()
    text = torch.tensor([PROMPTS[0]])
    logits = lm.model(text).logits
    other = wrap_model(copy.deepcopy(lm.model))
    for block, projection in zip(other.blocks, other.projections, strict=True):
        block.mlp.experts.down_proj.mul_(0)
        assert not projection(torch.ones(1, 30, dtype=torch.float64)).any()
    assert not torch.equal(other.model(text).logits, logits)
    assert torch.equal(lm.model(text).logits, logits)
    for projection in lm.projections:
        x = torch.rand(2, 30, dtype=torch.float64)
        torch.testing.assert_close(projection(x), x @ projection.weight.T)


# The guide ---------------------------------------------------------------------------------------


def test_the_example_of_the_guide_works() -> None:
    code = re.search(r"```python\n(.*?)```", GUIDE.read_text(), re.S)
    assert code is not None and code[1].count("\n") < 30
    namespace: dict[str, Any] = {}
    exec(code[1], namespace)
    family = namespace["FAMILY"]
    model = tiny_model("Starcoder2", sliding_window=5).requires_grad_(False)
    assert family.architectures == (type(model).__name__,)
    lm = LanguageModel(model, None, family, 3, getattr(model.config, family.ffn_width))
    found = attribute(lm, PROMPTS[:2], ANSWERS[:2], rule=RULE, steps=STEPS)
    for i, ours in enumerate(found):
        check(ours, definition(lm, i), 1e-9)
