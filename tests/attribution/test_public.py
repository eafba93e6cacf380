"""`caploc.attribute`: forms of input, the model as it was before, one clear error for bad input."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from naive import naive_scores
from tiny_models import VOCAB, ids, tiny_gptj, tiny_llama
from transformers import BertConfig, BertForMaskedLM, T5Config, T5ForConditionalGeneration

from caploc import DataError, attribute
from caploc.attribution.rules import path_rule
from caploc.models.language_model import LanguageModel

RULE, STEPS = "inclusive", 3
REPOSITORY = Path(__file__).parents[2]
PROMPTS = [ids(7, seed=1), ids(3, seed=2), ids(5, seed=3)]
ANSWERS = [ids(2, seed=4), ids(4, seed=5), ids(1, seed=6)]


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    return tiny_llama()


@pytest.fixture(scope="module")
def expected(lm: LanguageModel) -> list[np.ndarray]:
    path = path_rule(RULE, STEPS)
    points, weights = path.points.tolist(), path.weights.tolist()
    return [
        naive_scores(lm.model, lm.projections, x, y, points, weights).mean.numpy()
        for x, y in zip(PROMPTS, ANSWERS, strict=True)
    ]


def padded(rows: list[list[int]], side: str) -> dict[str, torch.Tensor]:
    """As a tokenizer of transformers pads, with an id that is a real token elsewhere."""
    width = max(map(len, rows))
    pads = [[0] * (width - len(row)) for row in rows]
    left = side == "left"
    return {
        "input_ids": torch.tensor(
            [p + r if left else r + p for p, r in zip(pads, rows, strict=True)]
        ),
        "attention_mask": torch.tensor(
            [p + [1] * len(r) if left else [1] * len(r) + p
             for p, r in zip(pads, rows, strict=True)]
        ),
    }  # fmt: skip


def close(found: Any, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found.scores, expected, rtol=1e-9, atol=1e-15)


# Forms of input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [list, tuple, np.array, torch.tensor, lambda x: {"input_ids": x}],
    ids=["list", "tuple", "array", "tensor", "mapping"],
)
def test_one_sample(lm: LanguageModel, expected: list[np.ndarray], form: Any) -> None:
    close(attribute(lm.model, form(PROMPTS[0]), form(ANSWERS[0]), steps=STEPS), expected[0])


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_batch(lm: LanguageModel, expected: list[np.ndarray], side: str) -> None:
    found = attribute(lm.model, padded(PROMPTS, side), padded(ANSWERS, "right"), steps=STEPS)
    assert isinstance(found, list) and len(found) == 3
    for ours, theirs in zip(found, expected, strict=True):
        close(ours, theirs)


# GPT-J as it is: it computes attention scores in float32, so agreement ends there.
@pytest.mark.parametrize(
    ("make", "tolerance"), [(tiny_llama, 1e-9), (lambda: tiny_gptj(exact=False), 2e-6)]
)
def test_left_padding_means_what_it_means_in_transformers(make: Any, tolerance: float) -> None:
    """Against whole forward passes of the padded batch with its mask: no unpadding anywhere."""
    lm = make()
    batch = padded(PROMPTS, "left")
    found = attribute(lm.model, batch, [[y[0]] for y in ANSWERS], steps=2)
    mask = batch["attention_mask"]
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    for layer, projection in enumerate(lm.projections):
        seen: list[torch.Tensor] = []

        def put(module: Any, args: Any, c: float, seen: list[torch.Tensor] = seen) -> Any:
            full = args[0].clone()
            full[:, -1] = (c * full[:, -1].detach()).requires_grad_(True)
            seen.append(full)
            return (full,)

        total = torch.zeros(3, lm.n_neurons, dtype=torch.float64)
        for c in (0.0, 0.5, 1.0):
            seen.clear()
            handle = projection.register_forward_pre_hook(lambda m, a, c=c: put(m, a, c))
            logits = lm.model(
                input_ids=batch["input_ids"], attention_mask=mask, position_ids=positions
            ).logits[:, -1]
            handle.remove()
            p = torch.softmax(logits, -1)[range(3), [y[0] for y in ANSWERS]]
            (slope,) = torch.autograd.grad(p.sum(), seen[0])
            total += slope[:, -1] / 2
        # The last value seen is the unscaled one.
        scores = total * seen[0][:, -1].detach()
        for ours, theirs in zip(found, scores, strict=True):
            error = np.abs(ours.scores[layer] - theirs.numpy()).max()
            assert error < tolerance * theirs.abs().max()


def test_an_empty_batch_is_an_empty_list(lm: LanguageModel) -> None:
    assert attribute(lm.model, [], []) == []


def test_a_wrapped_model_does_as_well(lm: LanguageModel, expected: list[np.ndarray]) -> None:
    close(attribute(lm, PROMPTS[1], ANSWERS[1], steps=STEPS), expected[1])


def test_inside_inference_mode(lm: LanguageModel, expected: list[np.ndarray]) -> None:
    with torch.inference_mode():
        close(attribute(lm.model, PROMPTS[0], ANSWERS[0], steps=STEPS), expected[0])


# The model is left as it was ---------------------------------------------------------------------


def state(model: Any) -> dict[str, Any]:
    """All that could be left behind, and the logits."""
    modules = dict(model.named_modules())
    with torch.no_grad():
        was = model.training
        mode = {name: module.training for name, module in modules.items()}
        logits = model.eval()(torch.tensor([PROMPTS[0]])).logits
        for name, module in modules.items():
            module.training = mode[name]
    return {
        "training": (was, mode),
        "requires_grad": {n: p.requires_grad for n, p in model.named_parameters()},
        "grad": [n for n, p in model.named_parameters() if p.grad is not None],
        "attention": model.config._attn_implementation,
        "hooks": {n: (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks))
                  for n, m in modules.items()},
        "attributes": {n: sorted(m.__dict__) for n, m in modules.items()},
        "logits": logits.numpy().tobytes(),
    }  # fmt: skip


def in_use(make: Callable[[], LanguageModel], attention: str = "eager") -> Any:
    """A model as somebody has it who fine-tunes: training mode, some gradients, another kernel."""
    model = make().model
    model.train()
    model.get_submodule(next(n for n, m in model.named_modules() if n.endswith("1"))).eval()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("weight" in name)
    model.config._attn_implementation = attention
    return model


@pytest.mark.parametrize("make", [tiny_llama, tiny_gptj])
def test_the_model_is_left_as_it_was(make: Any) -> None:
    model = in_use(make)
    before = state(model)
    found = attribute(model, PROMPTS, ANSWERS, steps=2)
    assert state(model) == before
    frozen = attribute(make(), PROMPTS, ANSWERS, steps=2)
    for ours, theirs in zip(found, frozen, strict=True):
        np.testing.assert_allclose(ours.scores, theirs.scores, rtol=1e-9, atol=1e-15)


class Stop(Exception):
    pass


@pytest.mark.parametrize("make", [tiny_llama, tiny_gptj])
@pytest.mark.parametrize("calls", [1, 2, 4])
def test_the_model_is_left_as_it_was_after_an_exception(make: Any, calls: int) -> None:
    """Stopped in the check of the model, in the recording and among the rows."""
    model = in_use(make)
    before = state(model)
    block = next(m for n, m in model.named_modules() if re.fullmatch(r".*\.(layers|h)\.2", n))
    count = 0

    def stop(module: Any, args: Any) -> None:
        nonlocal count
        count += 1
        if count == calls:
            raise Stop

    handle = block.register_forward_pre_hook(stop)
    with pytest.raises((Stop, DataError), match=r"Stop|^$"):
        attribute(model, PROMPTS[0], ANSWERS[0], steps=2)
    handle.remove()
    assert state(model) == before


# Bad input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "answer", "settings", "message"),
    [
        ([1, 2], [], {}, "at least one prompt token and one answer token"),
        ([], [1], {}, "at least one prompt token and one answer token"),
        ([[1, 2], [3]], [[1], []], {}, "at least one"),
        ([[1, 2], [3]], [[1]], {}, "2 prompts but 1 answers"),
        ([[1, 2]], [1], {}, "prompt_ids is a batch and answer_ids is one sample"),
        ([1, 2], [[1]], {}, "answer_ids is a batch and prompt_ids is one sample"),
        ([1, 2.5], [1], {}, r"prompt_ids\[0\] is \[1, 2.5\]; expected token ids"),
        ([[1], ["a"]], [[1], [2]], {}, r"prompt_ids\[1\] is \['a'\]; expected token ids"),
        ("text", [1], {}, "prompt_ids is 'text'; expected token ids"),
        ([1, VOCAB], [1], {}, f"{VOCAB}"),
        ([1, 2], [-1], {}, "-1"),
        ([1] * 60, [1] * 6, {}, "context of 64"),
        ([1, 2], [1], {"steps": 0}, "steps"),
        ([1, 2], [1], {"rule": "simpson"}, "unknown path rule 'simpson'"),
        ([1, 2], [1], {"site": "middle"}, "site 'middle'"),
        ({"input_ids": [1, 2, 3], "attention_mask": [1, 0, 1]}, [1], {}, "gap at position 1"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_error(
    prompt: Any, answer: Any, settings: dict[str, Any], message: str
) -> None:
    model = in_use(tiny_llama)
    before = state(model)
    with pytest.raises((ValueError, DataError), match=message) as error:
        attribute(model, prompt, answer, **settings)
    assert "\n" not in str(error.value)
    assert state(model) == before


def test_numbers_that_are_not_finite_are_refused() -> None:
    model = in_use(tiny_llama)
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[3, 3] = torch.inf
    before = {n: p.requires_grad for n, p in model.named_parameters()}
    with pytest.raises(DataError, match="not finite numbers"):
        attribute(model, PROMPTS[0], ANSWERS[0], steps=2)
    assert {n: p.requires_grad for n, p in model.named_parameters()} == before
    assert model.training and model.config._attn_implementation == "eager"


@pytest.mark.parametrize("kind", ["encoder", "encoder and decoder"])
def test_other_kinds_of_models_are_refused(kind: str) -> None:
    if kind == "encoder":
        model: Any = BertForMaskedLM(
            BertConfig(vocab_size=37, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
                       intermediate_size=8)
        )  # fmt: skip
    else:
        model = T5ForConditionalGeneration(
            T5Config(vocab_size=37, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
        )
    model.train()
    with pytest.raises(DataError, match=type(model).__name__):
        attribute(model, [1, 2], [3])
    assert model.training and all(p.requires_grad for p in model.parameters())


# The documentation ------------------------------------------------------------------------------


def test_the_example_of_the_documentation_runs(
    save_model: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    text = (REPOSITORY / "docs/attribution.md").read_text()
    example = re.findall(r"```python\n(.*?)```", text, flags=re.S)[0]
    assert len(example.strip().splitlines()) <= 10
    folder = save_model(max_position_embeddings=64)
    code, n = re.subn(r'folder = ".*"', f"folder = {str(folder)!r}", example)
    assert n == 1
    names: dict[str, Any] = {}
    exec(code, names)
    assert "(3, 24)" in capsys.readouterr().out
    scores = names["found"].scores
    assert abs(scores[names["layer"], names["neuron"]]) == np.abs(scores).max() > 0


def test_rounding_that_nobody_asked_for_is_refused(lm: LanguageModel) -> None:

    with torch.autocast("cpu", torch.bfloat16), pytest.raises(DataError, match="autocast"):
        attribute(lm.model, [1, 2], [3])
