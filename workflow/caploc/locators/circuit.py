"""Knowledge circuits: which edges between heads, FFNs, embedding and logits carry a fact.

The unit is the edge (see `EdgeGraph`). A sample gives its counterfactual prompt, the same sentence
about something else, in ``meta["counterfactual"]``; both must have the same number of tokens. For
the logit difference it also gives the answer to that, in ``meta["counterfactual_answer"]``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caploc.locators._circuit_run import (
    answer_log_probability,
    mean_outputs,
    reference_outputs,
    run_alone,
)
from caploc.locators._edge_graph import EdgeGraph
from caploc.locators._edge_patching import patch_edges, prune_greedily
from caploc.locators._edge_scores import score_edges
from caploc.locators._nodes import graph_of
from caploc.models.language_model import LanguageModel
from caploc.models.tokens import encode
from caploc.records import Dropped, Sample

__all__ = [
    "ABLATIONS",
    "METRICS",
    "PAPER",
    "TITLE",
    "UNIT",
    "Alone",
    "EdgeAttribution",
    "EdgeGraph",
    "graph_of",
    "locate",
    "located",
    "patch",
    "per_layer",
    "prune",
    "run",
    "select",
]

TITLE = "Knowledge circuits"
UNIT = "edge"
PAPER = {"fidelity": 0.072, "reliability": 0.105}
"""Overlap of rewrites and IPP that the paper prints for it (GPT-J, CounterFact)."""
METRICS = ("log_probability", "logit_difference")
ABLATIONS = ("zero", "mean", "counterfactual")


@dataclass(frozen=True, slots=True)
class EdgeAttribution:
    """Scores of one fact.

    Attributes:
        scores: (edge,) contribution to the metric, in nats or logits; positive where the edge
            supports the answer. Order: `EdgeGraph`.
        graph: which edges these are.
        log_probability: of the answer after the prompt, mean over its tokens, in nats.
        log_probability_corrupted: of the same answer after the counterfactual prompt.
        gap: |sum of the scores of edges out of the embedding - difference of the metric between
            both prompts|; 0 if the path were integrated exactly.
    """

    scores: NDArray[np.float64]
    graph: EdgeGraph
    log_probability: float
    log_probability_corrupted: float
    gap: float


def locate(
    lm: LanguageModel,
    samples: Sequence[Sample],
    *,
    rule: str = "right",
    steps: int = 100,
    metric: str = "log_probability",
    batch_tokens: int = 1024,
    chunk_values: int = 1 << 26,
    seed: int = 0,
) -> list[EdgeAttribution | Dropped]:
    """Score every edge for each fact (EAP-IG).

    Args:
        lm: the model, with its tokenizer.
        samples: prompts with gold answers; ``meta["counterfactual"]`` is the other prompt.
        rule: path rule, see `caploc.attribution.rules`.
        steps: S of the rule.
        metric: ``log_probability`` of the answer, mean over its tokens; or ``logit_difference``
            between the first tokens of the answer and of the counterfactual answer.
        batch_tokens: most tokens in one pass; bounds memory, changes rounding only.
        chunk_values: most numbers held for what sources wrote; bounds memory as well.
        seed: nothing here is random.

    Returns:
        Per sample its `EdgeAttribution`, or why it was left out.

    Raises:
        DataError: the family does not name the parts, or the model does not add them up as they
            are.
        ValueError: unknown metric.
    """
    graph = graph_of(lm)
    _check_metric(metric)
    results: list[EdgeAttribution | Dropped] = []
    for sample in samples:
        try:
            clean, corrupt, answer = _tokens(lm, sample)
            contrast = _contrast(lm, sample, answer, metric)
        except Dropped as reason:
            results.append(reason)
            continue
        found = score_edges(
            lm, clean, corrupt, answer, rule=rule, steps=steps, batch_tokens=batch_tokens,
            chunk_values=chunk_values, contrast=contrast,
        )  # fmt: skip
        scores = found.scores.double().numpy()
        out_of_embedding = graph.grid(scores)[:, 0].sum()
        results.append(
            EdgeAttribution(
                scores=scores,
                graph=graph,
                log_probability=found.log_probability[0],
                log_probability_corrupted=found.log_probability[1],
                gap=float(abs(out_of_embedding - (found.clean - found.corrupt))),
            )
        )
    return results


def select(
    scores: NDArray[np.floating], graph: EdgeGraph, share: float = 0.026
) -> NDArray[np.bool_]:
    """Located edges: the largest in size, without those on no path from embedding to logits.

    Args:
        scores: (edge,) scores.
        graph: which edges these are.
        share: fraction of all edges that is taken before pruning, above 0, at most 1; rounded to a
            whole number of edges, at least 1. Of equal scores the first edge counts as larger.

    Returns:
        (edge,) True where located; empty if no path survives.

    Raises:
        ValueError: a share outside the range, or a score that is not finite.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, found {share}")
    if not np.isfinite(scores).all():
        raise ValueError("an edge score is not a finite number")
    top = np.argsort(-np.abs(scores), kind="stable")[: max(1, round(share * graph.n_edges))]
    edges = np.zeros(graph.n_edges, dtype=bool)
    edges[top] = True
    return graph.connected(edges)


@dataclass(frozen=True, slots=True)
class Alone:
    """What a circuit does with a fact when everything else is cut.

    Attributes:
        rank: of the first answer token among all tokens, 1 if it is the most probable one; Hit@k
            is the share of facts with rank <= k. Of equal logits the answer counts as last.
        log_probability: of the answer, mean over its tokens, in nats.
    """

    rank: int
    log_probability: float


def run(
    lm: LanguageModel,
    samples: Sequence[Sample],
    edges: NDArray[np.bool_],
    *,
    ablation: str = "zero",
    texts: Sequence[str] = (),
) -> list[Alone | Dropped]:
    """Run a circuit alone on each fact.

    Args:
        lm: the model, with its tokenizer.
        samples: facts; ``meta["counterfactual"]`` is needed by that ablation only.
        edges: (edge,) True where the edge belongs to the circuit.
        ablation: what all other edges carry: ``zero``, ``mean`` (what their sources write on
            average over the tokens of `texts`) or ``counterfactual`` (what they write on the
            counterfactual prompt).
        texts: for ``mean``; those that do not fit the context are cut.

    Returns:
        Per sample the result, or why there is none.

    Raises:
        DataError: see `locate`.
        ValueError: unknown ablation, a mean without texts, or not one entry per edge.
    """
    if ablation not in ABLATIONS:
        raise ValueError(f"unknown ablation {ablation!r}; available: {', '.join(ABLATIONS)}")
    mean = None
    if ablation == "mean":
        encoded = [lm.tokenizer(text)["input_ids"][: lm.context] for text in texts]
        mean = mean_outputs(lm, [ids for ids in encoded if ids])
    reference = mean
    results: list[Alone | Dropped] = []
    for sample in samples:
        try:
            if ablation == "counterfactual":
                clean, corrupt, answer = _tokens(lm, sample)
                reference = reference_outputs(lm, [*corrupt, *answer[:-1]])
            else:
                clean, answer = encode(
                    lm.tokenizer, sample.prompt, sample.answer, context=lm.context
                )
        except Dropped as reason:
            results.append(reason)
            continue
        z = run_alone(lm, edges, [*clean, *answer[:-1]], reference)[-len(answer) :]
        rank = int((z[0] >= z[0, answer[0]]).sum())
        results.append(Alone(rank, answer_log_probability(z, answer)))
    return results


def patch(
    lm: LanguageModel, sample: Sample, *, metric: str = "log_probability"
) -> NDArray[np.float64]:
    """Exact patching, for small models: (edge,) loss of the metric per edge, in nats or logits.

    Raises:
        DataError: see `locate`.
        Dropped: see `locate`.
        ValueError: unknown metric.
    """
    _check_metric(metric)
    clean, corrupt, answer = _tokens(lm, sample)
    contrast = _contrast(lm, sample, answer, metric)
    return patch_edges(lm, clean, corrupt, answer, contrast)


def prune(
    lm: LanguageModel, sample: Sample, *, ablation: str = "zero", threshold: float = 0.01
) -> NDArray[np.bool_]:
    """ACDC, for small models: (edge,) True where the edge is kept.

    Args:
        lm: the model, with its tokenizer; one run per edge.
        sample: the fact.
        ablation: what dropped edges carry: ``zero`` or ``counterfactual``.
        threshold: largest loss of log-probability for which an edge is dropped, in nats.

    Raises:
        DataError: see `locate`.
        Dropped: see `locate`.
        ValueError: unknown ablation.
    """
    if ablation not in ("zero", "counterfactual"):
        raise ValueError(f"unknown ablation {ablation!r}; available: zero, counterfactual")
    clean, corrupt, answer = _tokens(lm, sample)
    reference = None
    if ablation == "counterfactual":
        reference = reference_outputs(lm, [*corrupt, *answer[:-1]])
    return prune_greedily(lm, clean, answer, reference=reference, threshold=threshold)


def located(
    result: EdgeAttribution, *, shares: Sequence[float] = (0.026,)
) -> dict[str, NDArray[np.bool_]]:
    """Located edges of one prompt by name, for each share of all edges, see `select`."""
    return {
        f"{100 * share:g} % of edges": select(result.scores, result.graph, share)
        for share in shares
    }


def per_layer(result: EdgeAttribution) -> list[int]:
    """Number of edges into each layer, the logits last."""
    return np.bincount(result.graph.edge_layer).tolist()


def _tokens(lm: LanguageModel, sample: Sample) -> tuple[list[int], list[int], list[int]]:
    """Ids of prompt, counterfactual prompt and answer."""
    other = sample.meta.get("counterfactual", "")
    if not other:
        raise Dropped("no counterfactual prompt")
    clean, answer = _encoded(lm, sample.prompt, sample.answer)
    corrupt, same_answer = _encoded(lm, other, sample.answer)
    if len(clean) != len(corrupt) or answer != same_answer:
        raise Dropped("prompt and counterfactual differ in number of tokens")
    if clean == corrupt:
        raise Dropped("prompt and counterfactual are the same")
    return clean, corrupt, answer


def _encoded(lm: LanguageModel, prompt: str, answer: str) -> tuple[list[int], list[int]]:
    return encode(lm.tokenizer, prompt, answer, context=lm.context)


def _check_metric(metric: str) -> None:
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}; available: {', '.join(METRICS)}")


def _contrast(lm: LanguageModel, sample: Sample, answer: list[int], metric: str) -> int | None:
    """First token of the counterfactual answer, if the metric needs it."""
    if metric == "log_probability":
        return None
    other = sample.meta.get("counterfactual_answer", "")
    if not other:
        raise Dropped("no counterfactual answer")
    _, tokens = _encoded(lm, sample.meta["counterfactual"], other)
    if tokens[0] == answer[0]:
        raise Dropped("answer and counterfactual answer begin with the same token")
    return tokens[0]
