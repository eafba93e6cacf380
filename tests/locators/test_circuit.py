"""Edge scores, patching and runs of circuits against a decoder whose edges are all spelled out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from split_decoder import SplitDecoder
from tiny_families import FAMILIES, softmax_in_float64
from tiny_models import ids, tiny_gptj, tiny_llama

from caploc.locators import circuit
from caploc.locators._circuit_run import (
    answer_log_probability,
    mean_outputs,
    reference_outputs,
    run_alone,
)
from caploc.locators._edge_patching import patch_edges, prune_greedily
from caploc.locators._edge_scores import score_edges
from caploc.models.language_model import LanguageModel
from caploc.models.loading import load_model
from caploc.records import DataError, Dropped, Sample

MODELS: dict[str, Callable[[], LanguageModel]] = {
    "llama": lambda: tiny_llama(n_layers=3),
    "llama, one key/value head": lambda: tiny_llama(n_layers=2, kv_heads=1, attention_bias=True),
    "gptj": lambda: tiny_gptj(exact=True),
}
SETTINGS: dict[str, Any] = {"batch_tokens": 10**6, "chunk_values": 10**9}


@pytest.fixture(params=MODELS)
def lm(request: pytest.FixtureRequest) -> LanguageModel:
    return MODELS[request.param]()


def prompts(n_answer: int) -> tuple[list[int], list[int], list[int]]:
    clean = ids(5, seed=1)
    return clean, [clean[0], *ids(2, seed=5), *clean[3:]], ids(n_answer, seed=2)


def test_the_decoder_of_this_test_is_the_model(lm: LanguageModel) -> None:
    clean, *_ = prompts(1)
    split = SplitDecoder(lm)
    theirs = lm.model(input_ids=torch.tensor([clean]), use_cache=False).logits[0]
    torch.testing.assert_close(split.logits(clean), theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("n_answer", [1, 2])
def test_one_step_is_difference_times_gradient(lm: LanguageModel, n_answer: int) -> None:
    clean, corrupt, answer = prompts(n_answer)
    expected = SplitDecoder(lm).one_step(clean, corrupt, answer)
    found = score_edges(lm, clean, corrupt, answer, rule="right", steps=1, **SETTINGS)
    graph = circuit.graph_of(lm)
    assert graph.n_edges == len(expected) == len(found.scores)
    np.testing.assert_allclose(found.scores, expected, rtol=1e-8, atol=1e-12)
    split = SplitDecoder(lm)
    assert found.clean == pytest.approx(split.metric(clean, answer).item(), rel=1e-9)
    assert found.corrupt == pytest.approx(split.metric(corrupt, answer).item(), rel=1e-9)


def test_incoming_edges_sum_to_difference_times_path_mean_gradient(lm: LanguageModel) -> None:
    clean, corrupt, answer = prompts(2)
    expected = SplitDecoder(lm).reader_totals(clean, corrupt, answer, [0.125, 0.375, 0.625, 0.875])
    found = score_edges(lm, clean, corrupt, answer, rule="midpoint", steps=4, **SETTINGS)
    totals = circuit.graph_of(lm).grid(found.scores.numpy()).sum(1)
    np.testing.assert_allclose(totals, expected, rtol=1e-8, atol=1e-12)


def test_logit_difference(lm: LanguageModel) -> None:
    clean, corrupt, answer = prompts(1)
    split, contrast = SplitDecoder(lm), (answer[0] + 1) % 37
    split._metric = lambda z, y: z[-1, y[0]] - z[-1, contrast]  # type: ignore[method-assign]
    found = score_edges(
        lm, clean, corrupt, answer, rule="right", steps=1, contrast=contrast, **SETTINGS
    )
    expected = split.one_step(clean, corrupt, answer)
    np.testing.assert_allclose(found.scores, expected, rtol=1e-8, atol=1e-12)
    assert found.clean == pytest.approx(split.metric(clean, answer).item(), rel=1e-9)
    effects = patch_edges(lm, clean, corrupt, answer, contrast)
    edge = len(effects) // 2
    expected_effect = patched(split, clean, corrupt, answer, every=len(effects) // 2)[1]
    assert effects[edge] == pytest.approx(expected_effect, rel=1e-8, abs=1e-11)


def test_chunks_change_rounding_only(lm: LanguageModel) -> None:
    clean, corrupt, answer = prompts(2)
    whole = score_edges(lm, clean, corrupt, answer, rule="right", steps=5, **SETTINGS)
    for small in ({"batch_tokens": 12}, {"chunk_values": 1}, {"chunk_values": 400}):
        part = score_edges(lm, clean, corrupt, answer, rule="right", steps=5, **SETTINGS | small)
        np.testing.assert_allclose(part.scores, whole.scores, rtol=1e-9, atol=1e-13)


def test_edges_out_of_the_embedding_add_up(lm: LanguageModel) -> None:
    clean, corrupt, answer = prompts(1)
    found = score_edges(lm, clean, corrupt, answer, rule="gauss-legendre", steps=60, **SETTINGS)
    total = circuit.graph_of(lm).grid(found.scores.numpy())[:, 0].sum()
    assert total == pytest.approx(found.clean - found.corrupt, rel=1e-4)


def patched(
    split: SplitDecoder, clean: list[int], corrupt: list[int], answer: list[int], every: int = 3
) -> Any:
    """A whole run per third edge, with the edge's share of the reader's stream exchanged."""
    (_, a, _), (_, b, _) = (split.run(split.embed([*p, *answer[:-1]])) for p in (clean, corrupt))
    base, effects = split.metric(clean, answer), []
    for reader, source in split.edges()[::every]:

        def change(r: Any, stream: Any, written: Any, reader=reader, source=source) -> Any:  # type: ignore[no-untyped-def]
            return stream - a[source] + b[source] if r == reader else stream

        effects.append((base - split.metric(clean, answer, change)).item())
    return effects


def test_exact_patching_is_a_run_per_edge(lm: LanguageModel) -> None:
    clean, corrupt, answer = prompts(2)
    expected = patched(SplitDecoder(lm), clean, corrupt, answer)
    found = patch_edges(lm, clean, corrupt, answer)
    np.testing.assert_allclose(found[::3], expected, rtol=1e-8, atol=1e-11)
    # The same through the run of a circuit: all edges but one.
    graph, ids_read = circuit.graph_of(lm), [*clean, *answer[:-1]]
    reference = reference_outputs(lm, [*corrupt, *answer[:-1]])
    whole = run_alone(lm, np.ones(graph.n_edges, bool), ids_read, reference)
    base = answer_log_probability(whole[-2:], answer)
    for edge in range(0, graph.n_edges, 9):
        kept = np.arange(graph.n_edges) != edge
        z = run_alone(lm, kept, ids_read, reference)[-2:]
        assert base - answer_log_probability(z, answer) == pytest.approx(
            expected[edge // 3], rel=1e-7, abs=1e-11
        )


@pytest.mark.parametrize("ablation", ["zero", "mean", "counterfactual"])
def test_a_circuit_alone(lm: LanguageModel, ablation: str) -> None:
    clean, corrupt, _ = prompts(1)
    graph, split = circuit.graph_of(lm), SplitDecoder(lm)
    kept = np.random.default_rng(0).random(graph.n_edges) < 0.6
    other = split.run(split.embed(corrupt))[1]
    if ablation == "zero":
        other, reference = {s: torch.zeros_like(x) for s, x in other.items()}, None
    elif ablation == "mean":
        other = {s: x.mean(0, keepdim=True) for s, x in other.items()}
        reference = mean_outputs(lm, [corrupt])
    else:
        reference = reference_outputs(lm, corrupt)
    cut = {edge for edge, keep in zip(split.edges(), kept, strict=True) if not keep}

    def change(reader: Any, stream: Any, written: Any) -> Any:
        return stream + sum(other[s] - x for s, x in written.items() if (reader, s) in cut)

    expected = split.run(split.embed(clean), change)[0]
    found = run_alone(lm, kept, clean, reference)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)
    everything = run_alone(lm, np.ones(graph.n_edges, bool), clean, reference)
    torch.testing.assert_close(everything, split.logits(clean), rtol=1e-8, atol=1e-10)


def test_mean_over_texts_of_unequal_length() -> None:
    lm = tiny_llama(n_layers=2)
    texts = [ids(3, seed=3), ids(6, seed=4)]
    both = torch.cat([reference_outputs(lm, text) for text in texts], dim=1)
    torch.testing.assert_close(mean_outputs(lm, texts), both.mean(1, keepdim=True))
    with pytest.raises(ValueError, match="at least one text"):
        mean_outputs(lm, [])


def test_acdc_drops_what_costs_little() -> None:
    lm = tiny_llama(n_layers=2, kv_heads=1)
    clean, _, answer = prompts(1)
    split = SplitDecoder(lm)
    order, cut = split.edges(), set()

    def change(reader: Any, stream: Any, written: Any) -> Any:
        return stream - sum(x for s, x in written.items() if (reader, s) in cut)

    now = split.metric(clean, answer).item()
    for edge in reversed(order):
        cut.add(edge)
        without = split.metric(clean, answer, change).item()
        if now - without < 0.01:
            now = without
        else:
            cut.remove(edge)
    n_calls: list[int] = []
    found = prune_greedily(lm, clean, answer, threshold=0.01, tick=lambda: n_calls.append(1))
    np.testing.assert_array_equal(found, [edge not in cut for edge in order])
    assert 0 < found.sum() < len(found) == len(n_calls)
    assert prune_greedily(lm, clean, answer, threshold=1e9).sum() == 0


@pytest.mark.parametrize("name", ["mistral", "qwen3", "opt"])
def test_other_families_with_separate_projections(name: str) -> None:
    """All edges give the model back; all but one give exact patching; the path's sum is right."""
    lm = FAMILIES[name]()
    clean, corrupt, answer = prompts(1)
    graph = circuit.graph_of(lm)
    with softmax_in_float64(), torch.no_grad():
        everything = run_alone(lm, np.ones(graph.n_edges, bool), clean)
        model = lm.model(input_ids=torch.tensor([clean]), use_cache=False).logits[0]
        reference = reference_outputs(lm, corrupt)
        effects = patch_edges(lm, clean, corrupt, answer)
        base = answer_log_probability(everything[-1:], answer)
        for edge in range(0, graph.n_edges, 17):
            z = run_alone(lm, np.arange(graph.n_edges) != edge, clean, reference)[-1:]
            assert base - answer_log_probability(z, answer) == pytest.approx(
                effects[edge], rel=1e-6, abs=1e-9
            )
    torch.testing.assert_close(everything, model, rtol=1e-8, atol=1e-9)
    found = score_edges(lm, clean, corrupt, answer, rule="midpoint", steps=2, **SETTINGS)
    x, y = (lm.model.get_input_embeddings()(torch.tensor([p])) for p in (clean, corrupt))
    slope = torch.zeros_like(x)
    for point in (0.25, 0.75):
        leaf = (y + point * (x - y)).requires_grad_(True)
        logits = lm.model(inputs_embeds=leaf, use_cache=False).logits[0, -1]
        log_p = torch.log_softmax(logits, -1)[answer[0]]
        slope += torch.autograd.grad(log_p, leaf)[0] / 2
    total = graph.grid(found.scores.numpy())[:, 0].sum()
    assert total == pytest.approx(((x - y) * slope).sum().item(), rel=1e-6)


@pytest.mark.parametrize("name", ["gpt2", "olmo2"])
def test_families_without_the_parts_are_refused(name: str) -> None:
    lm = FAMILIES[name]()
    with pytest.raises(DataError, match=f"family {name} names no separate query, key and value"):
        circuit.graph_of(lm)
    named = replace(
        lm.family, attention_in=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        attention_norm="post_attention_layernorm", ffn_norm="post_feedforward_layernorm",
    )  # fmt: skip
    if name == "olmo2":
        wrong = LanguageModel(lm.model, None, named, lm.n_layers, lm.n_neurons)
        with pytest.raises(DataError, match="is not the sum of what embedding, heads and FFNs"):
            circuit.graph_of(wrong)


@pytest.fixture
def worded(save_model: Callable[..., Path]) -> LanguageModel:
    return load_model(save_model(), dtype="float64")


def fact(prompt: str, other: str, answer: str = " three") -> Sample:
    return Sample("s", prompt, answer, {"counterfactual": other})


FACTS = [
    fact("a one =", "a two ="),
    fact("a one =", "a two two ="),
    fact("a one =", ""),
    fact("a one =", "a one ="),
    fact("a one =", "a two =", ""),
    fact("b four = c", "b one = c", " d e"),
]
REASONS = [
    "",
    "prompt and counterfactual differ in number of tokens",
    "no counterfactual prompt",
    "prompt and counterfactual are the same",
    "no answer tokens",
    "",
]


def reasons(results: list[Any]) -> list[str]:
    return [str(r) if isinstance(r, Dropped) else "" for r in results]


def test_results_in_order_with_reasons(worded: LanguageModel) -> None:
    results = circuit.locate(worded, FACTS, steps=20)
    assert reasons(results) == REASONS
    first = results[0]
    assert isinstance(first, circuit.EdgeAttribution)
    # 3 layers of 4 heads and 2 key/value heads: see the counts of EdgeGraph.
    assert first.scores.shape == (first.graph.n_edges,)
    more = circuit.locate(worded, FACTS[:1], steps=200)[0]
    assert isinstance(more, circuit.EdgeAttribution)
    assert more.gap < first.gap < abs(first.log_probability - first.log_probability_corrupted)


def test_metric_from_text(worded: LanguageModel) -> None:
    meta = {"counterfactual": "a two =", "counterfactual_answer": " four"}
    facts = [Sample("s", "a one =", " three", meta), FACTS[0],
             Sample("s", "a one =", " four four", meta)]  # fmt: skip
    results = circuit.locate(worded, facts, steps=50, metric="logit_difference")
    assert reasons(results) == [
        "",
        "no counterfactual answer",
        "answer and counterfactual answer begin with the same token",
    ]
    (plain,) = circuit.locate(worded, facts[:1], steps=1)
    assert results[0].log_probability == plain.log_probability
    assert circuit.patch(worded, facts[0], metric="logit_difference").any()
    for call, what in ((circuit.locate, facts[:1]), (circuit.patch, facts[0])):
        with pytest.raises(ValueError, match="unknown metric 'kl'; available: log_prob"):
            call(worded, what, metric="kl")


def test_running_alone_from_text(worded: LanguageModel) -> None:
    graph = circuit.graph_of(worded)
    everything = np.ones(graph.n_edges, bool)
    results = circuit.run(worded, FACTS, everything, ablation="counterfactual")
    assert reasons(results) == REASONS
    zero = circuit.run(worded, FACTS[:1], everything)
    mean = circuit.run(worded, FACTS[:1], everything, ablation="mean", texts=["a b", "c " * 50, ""])
    located = circuit.locate(worded, FACTS[:1], steps=1)[0]
    logits = worded.model(**worded.tokenizer("a one = three", return_tensors="pt")).logits[0, 3]
    target = worded.tokenizer.convert_tokens_to_ids("three")
    rank = int((logits.argsort(descending=True) == target).nonzero()[0, 0]) + 1
    for one in (results[0], zero[0], mean[0]):
        assert one.rank == rank
        assert one.log_probability == pytest.approx(located.log_probability, rel=1e-6)
    nothing = circuit.run(worded, FACTS[:1], ~everything)[0]
    # No stream at all: every token is equally probable.
    assert nothing.rank == len(logits)
    with pytest.raises(ValueError, match="unknown ablation 'none'; available: zero, mean, counter"):
        circuit.run(worded, [], everything, ablation="none")
    with pytest.raises(ValueError, match="at least one text"):
        circuit.run(worded, [], everything, ablation="mean")
    with pytest.raises(ValueError, match="edges; this graph has"):
        circuit.run(worded, FACTS[:1], everything[1:])


def test_references_from_text(save_model: Callable[..., Path]) -> None:
    worded = load_model(save_model(num_hidden_layers=1), dtype="float64")
    effects = circuit.patch(worded, FACTS[0])
    assert effects.shape == (circuit.graph_of(worded).n_edges,) and effects.any()
    with pytest.raises(Dropped, match="no counterfactual prompt"):
        circuit.patch(worded, FACTS[2])
    for ablation in ("zero", "counterfactual"):
        assert circuit.prune(worded, FACTS[0], ablation=ablation, threshold=-1e9).all()
    with pytest.raises(ValueError, match="unknown ablation 'mean'"):
        circuit.prune(worded, FACTS[0], ablation="mean")


def test_select() -> None:
    graph = circuit.EdgeGraph(n_layers=1, n_heads=1, n_kv_heads=1, parallel=False)
    # q, k, v: embedding; FFN: embedding, head; logits: embedding, head, FFN.
    scores = np.array([5.0, 0.1, -0.2, -4.0, 0.3, 0.1, -3.0, 0.2])
    np.testing.assert_array_equal(
        circuit.select(scores, graph, share=3 / 8), [1, 0, 0, 0, 0, 0, 1, 0]
    )
    assert circuit.select(scores, graph, share=1).all()
    assert not circuit.select(scores, graph, share=0.001).any()
    for share in (0, 1.1):
        with pytest.raises(ValueError, match="share must be above 0"):
            circuit.select(scores, graph, share=share)
    with pytest.raises(ValueError, match="not a finite number"):
        circuit.select(scores * np.nan, graph)
