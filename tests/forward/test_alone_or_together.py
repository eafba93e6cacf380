"""A sample's numbers do not depend on its neighbours: every function that runs many samples.

Prompts and answers of different lengths go through each function together, in two orders, and one
by one, on a tiny model of every family in float64. A new public function that takes a model is
found by its signature and must stand in one of the two lists.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from tiny_families import FAMILIES
from tiny_models import tiny_gptj
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

import caploc
from caploc.attribution.engine import attribute
from caploc.forward.answer_pass import answer_pass, answer_passes
from caploc.forward.generation import complete, continue_text
from caploc.forward.likelihood import answer_likelihood
from caploc.forward.recall import Recall, recall
from caploc.forward.silencing import Erasure, Erasures
from caploc.locating import Given, mean_over_positions, scores_of_task
from caploc.locators import (
    activation_size,
    circuit,
    cnl,
    gradient_activation,
    kn,
    kn_activation,
    mask_gradient,
    rome,
    task_neurons,
    uniform_masks,
    weight_activation,
)
from caploc.models.language_model import LanguageModel
from caploc.records import Sample

VOCABULARY = 37
# Subject, what follows it, answer; the first token of each prompt is the beginning of text.
SHAPES = (("w5 w6", "w7", "w8"), ("w9", "w10 w11 w12 w13 w14", "w15 w16 w17"), ("w20", "w5", "w6"),
          ("w21 w22 w23", "w24 w25", "w26 w27"))  # fmt: skip
SAMPLES = [
    Sample(str(i), f"{subject} {rest}", f" {answer}",
           {"subject": subject, "counterfactual": f"{'w30 ' * len(subject.split())}{rest}"})
    for i, (subject, rest, answer) in enumerate(SHAPES)
]  # fmt: skip
ORDERS = ([0, 1, 2, 3], [3, 1, 0, 2])
NAMES = [name for name in FAMILIES if "rope" not in name]


@cache
def tokenizer() -> Any:
    words = ["<unk>", "<s>", "</s>", *(f"w{i}" for i in range(3, VOCABULARY))]
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, "<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def silenced(lm: LanguageModel) -> list[Erasure]:
    rng = np.random.default_rng(0)
    some = rng.random((lm.n_layers, lm.n_neurons)) < 0.3
    return [Erasure(np.zeros_like(some)), Erasure(some), Erasure(some, "answer")]


def ids(lm: LanguageModel, samples: Sequence[Sample]) -> tuple[list[Any], list[Any]]:
    pairs = [lm.encode(s.prompt, s.answer) for s in samples]
    return [p for p, _ in pairs], [a for _, a in pairs]


def of_likelihood(lm: LanguageModel, samples: Sequence[Sample]) -> list[Any]:
    found: dict[int, Any] = {}
    for chosen, part in answer_likelihood(lm, *ids(lm, samples), silenced(lm)):
        found |= {i: [*part.logprob[:, k], *part.n_right[:, k]] for k, i in enumerate(chosen)}
    return [found[i] for i in range(len(samples))]


def of_passes(lm: LanguageModel, samples: Sequence[Sample]) -> list[Any]:
    found: dict[int, Any] = {}
    for one in answer_passes(lm, samples):
        assert not isinstance(one, tuple)
        for k, i in enumerate(one.members):
            kept = one.read[k].bool()
            neurons = [w.reshape(*one.read.shape, -1)[k, kept].flatten() for w in one.neurons]
            found[i] = [*one.logprob[k, one.batch.counts[k]].tolist(), *torch.cat(neurons).tolist()]
    return [found[i] for i in range(len(samples))]


def of_pass(lm: LanguageModel, samples: Sequence[Sample]) -> list[Any]:
    with torch.no_grad():
        found = answer_pass(lm, [lm.encode(s.prompt, s.answer) for s in samples])
    return [[total, n] for total, n in zip(found.total.tolist(), found.n_tokens, strict=True)]


def of_completions(lm: LanguageModel, samples: Sequence[Sample]) -> list[Any]:
    """Token ids of greedy answers, plain and silenced in two ways."""
    n, ways = len(samples), silenced(lm)
    which = [w for w in range(len(ways)) for _ in range(n)]
    prompts, answers = [s.prompt for s in samples], [s.answer for s in samples]
    told = dict(
        complete(lm, prompts * len(ways), answers * len(ways), 4, Erasures(lm, ways), which)
    )
    return [[hash(told[w * n + i]) % 10**6 for w in range(len(ways))] for i in range(n)]


def of_continuations(lm: LanguageModel, samples: Sequence[Sample]) -> list[Any]:
    """With the likeliest token only, where nothing is drawn."""
    found = []
    for prompt in ids(lm, samples)[0]:
        greedy = [t for t in range(VOCABULARY)]
        logits = lm.model(input_ids=torch.tensor([prompt])).logits[0, -1]
        greedy.remove(int(logits.argmax()))
        found.append((prompt, greedy))
    # One step: all tokens but the likeliest one are never drawn.
    prompts = [p for p, _ in found]
    likeliest = [({*range(VOCABULARY)} - {*g}).pop() for _, g in found]
    without = [t for t in range(VOCABULARY) if t not in likeliest]
    told = continue_text(lm, prompts, 1, torch.Generator().manual_seed(0), without)
    return [[float(t[0] in likeliest)] for t in told]


def of_locator(locator: Any, **settings: Any) -> Callable[..., list[Any]]:
    def run(lm: LanguageModel, samples: Sequence[Sample]) -> list[Any]:
        results = locator.locate(lm, samples, **settings)
        return [np.asarray(result.scores).ravel() for result in results]

    return run


def of_engine(lm: LanguageModel, samples: Sequence[Sample]) -> list[Any]:
    return [a.scores.ravel() for a in attribute(lm, *ids(lm, samples), rule="midpoint", steps=2)]


def of_recall(lm: LanguageModel, samples: Sequence[Sample]) -> list[Any]:
    found = recall(lm, [s.prompt for s in samples], [s.answer for s in samples])
    return [[r.correct, r.probability] for r in found if isinstance(r, Recall)]


TOGETHER: dict[str, Callable[[LanguageModel, Sequence[Sample]], list[Any]]] = {
    "attribution.engine.attribute": of_engine,
    "forward.answer_pass.answer_pass": of_pass,
    "forward.answer_pass.answer_passes": of_passes,
    "forward.generation.complete": of_completions,
    "forward.generation.continue_text": of_continuations,
    "forward.likelihood.answer_likelihood": of_likelihood,
    "forward.recall.recall": of_recall,
    "locators.activation_size.locate": of_locator(activation_size),
    "locators.circuit.locate": of_locator(circuit, steps=2),
    "locators.cnl.locate": of_locator(cnl, steps=2),
    "locators.gradient_activation.locate": of_locator(gradient_activation),
    "locators.kn.locate": of_locator(kn, steps=2),
    "locators.kn_activation.locate": of_locator(kn_activation),
    "locators.mask_gradient.locate": of_locator(mask_gradient),
    "locators.rome.locate": of_locator(rome, window=1, noise_samples=2, spread=0.5),
    "locators.task_neurons.locate": of_locator(task_neurons),
    # Every sample has masks of its own, by its id.
    "locators.uniform_masks.locate": of_locator(uniform_masks, groups=2, rounds=2),
}
# Means over all tokens or samples of a task: together is the weighted mean of alone.
POOLED = {
    "locating.mean_over_positions": lambda lm, samples: mean_over_positions(
        lm, samples, lambda w: w.abs()
    ),
    "locators.weight_activation.score": lambda lm, samples: scores_of_task(
        weight_activation, lm, Given(samples, {}, SAMPLES), seed=0, general=False
    ),
}
# One sample at a time, what runs inside, or parts of the above.
NOT_TOGETHER = {
    "forward.hooks", "forward.own_rewrites", "forward.samples", "forward.shared_prefix",
    "forward.silencing", "forward.subject", "locators.circuit.rank", "locators.circuit.run",
    "locators.rome.rank", "locators.rome.embedding_spread", "locators.rome.settings_of_run",
    "locators.activation_entropy.score", "locators.random_order.score", "locators.cnl.score",
    "locators.kn.score", "locators.contrastive_size.score", "locators.mask_gradient.score",
    "locators.uniform_masks.score", "locating.scored", "locating.scores_of_task",
}  # fmt: skip


def functions_of_models() -> set[str]:
    """Public functions with a `LanguageModel` among their parameters."""
    found = set()
    for room in ("forward", "locating", "locators"):
        whole = importlib.import_module(f"caploc.{room}")
        inside = pkgutil.walk_packages(getattr(whole, "__path__", []), f"caploc.{room}.")
        names = [i.name for i in inside if not i.name.rpartition(".")[2].startswith("_")]
        for module in [whole, *map(importlib.import_module, names)]:
            for name in getattr(module, "__all__", []):
                member = getattr(module, name)
                if inspect.isfunction(member) and member.__module__ == module.__name__:
                    parameters = inspect.signature(member).parameters.values()
                    if any(p.annotation is LanguageModel for p in parameters):
                        found.add(f"{module.__name__.removeprefix('caploc.')}.{name}")
    return found


def test_every_function_stands_in_a_list() -> None:
    known = {*TOGETHER, *POOLED}
    rest = {f for f in functions_of_models() - known
            if f not in NOT_TOGETHER and f.rpartition(".")[0] not in NOT_TOGETHER}  # fmt: skip
    assert not rest, "say in this file how these are called with several samples"
    assert caploc.__name__


@pytest.fixture(scope="module", params=NAMES)
def lm(request: pytest.FixtureRequest) -> LanguageModel:
    return replace(FAMILIES[request.param](), tokenizer=tokenizer())


@pytest.mark.parametrize("name", TOGETHER)
def test_alone_is_together(lm: LanguageModel, name: str) -> None:
    run = TOGETHER[name]
    family = lm.family.name
    if name == "locators.circuit.locate":
        try:
            run(lm, SAMPLES[:1])
        except caploc.DataError as reason:
            pytest.skip(str(reason))
    alone = [run(lm, [sample])[0] for sample in SAMPLES]
    # Gemma 2 and GPT-J round inside of attention, GLM in its router, whatever the type.
    tolerance = 1e-5 if family in ("gemma2", "gptj", "deepseek_v3") else 1e-8
    for order in ORDERS:
        together = run(lm, [SAMPLES[i] for i in order])
        for i, found in zip(order, together, strict=True):
            wanted = np.asarray(alone[i], dtype=np.float64)
            scale = np.abs(wanted).max()
            assert np.isfinite(wanted).all() and len(wanted)
            np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * max(scale, 1e-3))


def test_pooled_means_are_weighted_means(lm: LanguageModel) -> None:
    lengths = [len(p) + len(a) - 1 for p, a in zip(*ids(lm, SAMPLES), strict=True)]
    run = POOLED["locating.mean_over_positions"]
    alone = [n * run(lm, [s]) for n, s in zip(lengths, SAMPLES, strict=True)]
    np.testing.assert_allclose(run(lm, SAMPLES), sum(alone) / sum(lengths), rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_padded_answers_in_float32(name: str) -> None:
    """Prompts of unequal length are padded, except in float64."""
    # The attention of the exact GPT-J of the tests knows no padding.
    lm = tiny_gptj(exact=False) if name == "gptj" else FAMILIES[name]()
    lm = replace(lm, tokenizer=tokenizer())
    lm.model.float()
    alone = [of_completions(lm, [sample])[0] for sample in SAMPLES]
    for order in ORDERS:
        assert of_completions(lm, [SAMPLES[i] for i in order]) == [alone[i] for i in order]
