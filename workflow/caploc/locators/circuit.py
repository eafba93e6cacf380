"""Knowledge circuits: which edges between heads, FFNs, embedding and logits carry a fact.

The unit is the edge (see `EdgeGraph`). A sample gives its counterfactual prompt, the same sentence
about something else, in ``meta["counterfactual"]``; both must have the same number of tokens. For
the logit difference it also gives the answer to that, in ``meta["counterfactual_answer"]``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from caploc.locators._answer_pairs import METRICS, contrast_of, tokens_of
from caploc.locators._circuit_run import (
    answer_log_probability,
    mean_outputs,
    reference_outputs,
    run_alone,
)
from caploc.locators._edge_graph import EdgeGraph
from caploc.locators._edge_patching import patch, prune
from caploc.locators._edge_scores import score_edges
from caploc.locators._nodes import graph_of
from caploc.measures.budgets import Units, descending
from caploc.models.language_model import LanguageModel
from caploc.models.tokens import encode_text
from caploc.records import Dropped, Sample
from caploc.settings import Count, FixedPath, Rule, Share

__all__ = [
    "ABLATIONS",
    "METRICS",
    "PAPER",
    "RANK",
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
    "rank",
    "run",
    "select",
]

TITLE = "Knowledge circuits"
UNIT = "edge"
PAPER = {"fidelity": 0.072, "reliability": 0.105}
"""Overlap of rewrites and IPP that the paper prints for it (GPT-J, CounterFact)."""
RANK = "heads and FFN layers by summed |edge score|"
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
    rule: FixedPath = "right",
    steps: Count = 100,
    metric: Literal["log_probability", "logit_difference"] = "log_probability",
    batch_tokens: Count = 1024,
    chunk_values: Count = 67_108_864,
    seed: int = 0,
) -> list[EdgeAttribution | Dropped]:
    """Score every edge for each fact (EAP-IG).

    Args:
        lm: the model, with its tokenizer.
        samples: prompts with gold answers; ``meta["counterfactual"]`` is the other prompt.
        rule: path points and weights
        steps: S of the path rule
        metric: log_probability of the answer, mean over its tokens; or logit_difference between
            the first tokens of the answer and of the counterfactual answer
        batch_tokens: most tokens in one pass; bounds memory, changes rounding only
        chunk_values: most numbers held for what sources wrote; bounds memory as well
        seed: nothing here is random.

    Returns:
        Per sample its `EdgeAttribution`, or why it was left out.

    Raises:
        DataError: the family does not name the parts, or the model does not add them up as they
            are.
        ValueError: unknown metric.
    """
    graph = graph_of(lm)
    results: list[EdgeAttribution | Dropped] = []
    for sample in samples:
        try:
            clean, corrupt, answer = tokens_of(lm, sample)
            contrast = contrast_of(lm, sample, answer, metric)
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
        encoded = [encode_text(lm.tokenizer, text)[0][: lm.context] for text in texts]
        mean = mean_outputs(lm, [ids for ids in encoded if ids])
    reference = mean
    results: list[Alone | Dropped] = []
    for sample in samples:
        try:
            if ablation == "counterfactual":
                clean, corrupt, answer = tokens_of(lm, sample)
                reference = reference_outputs(lm, [*corrupt, *answer[:-1]])
            else:
                clean, answer = lm.encode(sample.prompt, sample.answer)
        except Dropped as reason:
            results.append(reason)
            continue
        z = run_alone(lm, edges, [*clean, *answer[:-1]], reference)[-len(answer) :]
        rank = int((z[0] >= z[0, answer[0]]).sum())
        results.append(Alone(rank, answer_log_probability(z, answer)))
    return results


def located(
    result: EdgeAttribution,
    *,
    shares: Annotated[tuple[Share, ...], Rule(minItems=1)] = (0.026, 0.01, 0.05, 0.1),
) -> dict[str, NDArray[np.bool_]]:
    """Located edges of one prompt by name, for each share of all edges, see `select`.

    Args:
        result: of the prompt.
        shares: shares of the edges that are taken, each a rule; the first is the headline
    """
    return {
        f"{100 * share:g} % of edges": select(result.scores, result.graph, share)
        for share in shares
    }


def per_layer(result: EdgeAttribution) -> list[int]:
    """Number of edges into each layer, the logits last."""
    return np.bincount(result.graph.edge_layer).tolist()


def rank(
    lm: LanguageModel, units: Units, sample: Sample, scores: NDArray[np.floating]
) -> NDArray[np.int64]:
    """Heads and FFN layers by the sum of the absolute scores of the edges out of them.

    Args:
        lm: the model.
        units: of the model.
        sample: the fact; the scores say all.
        scores: (edge,) scores.

    Returns:
        (unit,) ids of those whose sum is above 0, best first.
    """
    graph = graph_of(lm)
    of_source = graph.grid(np.abs(scores.astype(np.float64))).sum(axis=0)
    sums, ids = [], []
    for layer in range(graph.n_layers):
        heads = graph.heads(layer)
        sums += [*of_source[heads], of_source[heads.stop]]
        ids += [units.head(layer, head) for head in range(graph.n_heads)]
        ids.append(units.ffn_layer(layer))
    total = np.array(sums)
    return np.array(ids, dtype=np.int64)[descending(total, total > 0)]
