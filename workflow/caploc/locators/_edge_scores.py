"""Dense edge attribution with integrated gradients (EAP-IG): a score for every edge at once.

For an edge from source u to reader v of one fact,

    score(u, v) = sum_t (out_u(clean, t) - out_u(corrupt, t)) . sum_n a_n dM / d in_v(t) at c_n

    M      mean over answer tokens of log P(y_m | prompt, y_1..y_(m-1)); or, if a contrast token is
           given, the logit of the first answer token minus that of the contrast
    in_v   what reader v reads: the residual stream in front of its norm
    c_n    points of the path, at which the first block reads corrupt + c_n (clean - corrupt)
    a_n    their weights

A positive score says that the edge supports the answer. Gradients are read off one backward pass at
the projections (all path points are rows of it) and led back through the projection of each head
and through the norm; no head gets a stream of its own. The product with all sources is one matrix
product per layer, over chunks of tokens and of source layers, so memory does not depend on the
number of edges times the width.

The edges out of the embedding sum to M(clean) - M(corrupt) but for the error of the path rule; how
far they are from it is returned as `gap`.

Source: Hanna et al. 2024, "Have Faith in Faithfulness" (edge attribution patching with integrated
gradients over inputs); rule ``right`` has its points n / S, n = 1..S.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from caploc.attribution.rules import path_rule
from caploc.locators._edge_graph import EdgeGraph
from caploc.locators._edge_slopes import Slopes, measure, slopes_of
from caploc.locators._nodes import (
    Nodes,
    Parts,
    difference,
    graph_of,
    outputs,
    parts_of,
    record_nodes,
    rows_by_head,
)
from caploc.models.language_model import LanguageModel

__all__ = ["EdgeScores", "score_edges"]


@dataclass(frozen=True, slots=True)
class EdgeScores:
    """Scores of one fact.

    Attributes:
        scores: (edge,) contribution to M, in nats (or logits).
        clean: M of the prompt.
        corrupt: M of the counterfactual prompt, with the same answer.
        log_probability: (2,) of the answer behind prompt and counterfactual prompt, in nats.
    """

    scores: Tensor
    clean: float
    corrupt: float
    log_probability: tuple[float, float]


def score_edges(
    lm: LanguageModel,
    clean: list[int],
    corrupt: list[int],
    answer: list[int],
    *,
    rule: str,
    steps: int,
    batch_tokens: int,
    chunk_values: int,
    contrast: int | None = None,
) -> EdgeScores:
    """Score all edges of one fact.

    Args:
        lm: the model.
        clean: token ids of the prompt.
        corrupt: of the counterfactual prompt, as many.
        answer: of the gold answer, read behind both.
        rule: path rule, see `rules`.
        steps: S of the rule.
        batch_tokens: most tokens in one pass (points x tokens), if one point fits.
        chunk_values: most numbers held for the outputs of sources, if one layer at one token fits.
        contrast: token whose logit is subtracted, see above; None means log-probability.
    """
    graph, path = graph_of(lm), path_rule(rule, steps)
    wide = torch.promote_types(lm.dtype, torch.float32)
    ids = torch.tensor([[*c, *answer[:-1]] for c in (clean, corrupt)], device=lm.device)
    nodes = record_nodes(lm, ids)
    ends, changed = nodes.embedding, difference(nodes)
    points = torch.tensor(path.points, dtype=wide, device=lm.device)
    weights = torch.tensor(path.weights, dtype=wide, device=lm.device)
    grid = torch.zeros(graph.n_readers, graph.n_sources, dtype=wide, device=lm.device)
    rows = max(1, batch_tokens // ids.shape[1])
    for c, a in zip(points.split(rows), weights.split(rows), strict=True):
        stream = ends[1] + c[:, None, None] * (ends[0] - ends[1]).to(wide)
        slopes = slopes_of(lm, ids[:1], stream.to(lm.dtype), a, answer, contrast)
        for tokens in _token_chunks(graph, ids.shape[1], lm, chunk_values):
            _add_products(lm, graph, changed, slopes, tokens, chunk_values, grid)
    with torch.no_grad():
        ends_at = measure(lm, nodes.before_head, answer, contrast)
        log_p = measure(lm, nodes.before_head, answer)
    possible = torch.from_numpy(graph.possible).to(lm.device)
    return EdgeScores(
        grid[possible].cpu(), float(ends_at[0]), float(ends_at[1]),
        (float(log_p[0]), float(log_p[1])),
    )  # fmt: skip


@torch.no_grad()
def _add_products(
    lm: LanguageModel,
    graph: EdgeGraph,
    changed: Nodes,
    slopes: Slopes,
    tokens: slice,
    chunk_values: int,
    grid: Tensor,
) -> None:
    """Add the share of some tokens to all scores (reader, source); `changed` is one row."""
    parts = parts_of(lm)
    n_tokens, width = changed.embedding[0, tokens].shape
    per_layer = (graph.n_heads + 1) * n_tokens * width
    group = max(1, chunk_values // per_layer)
    for first in range(0, lm.n_layers, group):
        sources = range(first, min(first + group, lm.n_layers))
        start = graph.heads(first).start - (first == 0)
        written = outputs(lm, changed, sources, tokens).to(grid.dtype).flatten(1)
        stop = start + len(written)
        # Blocks before the first of these sources read none of them.
        for layer in range(first, lm.n_layers):
            slope = _reader_slopes(lm, parts, graph, slopes, layer, tokens, chunk_values)
            product = slope.to(grid.dtype).flatten(1) @ written.T
            grid[graph.readers(layer), start:stop] += product
        logits = slopes.logits[:, tokens].sum(0).to(grid.dtype)
        grid[-1, start:stop] += written @ logits.flatten()


def _reader_slopes(
    lm: LanguageModel,
    parts: Parts,
    graph: EdgeGraph,
    slopes: Slopes,
    layer: int,
    tokens: slice,
    chunk_values: int,
) -> Tensor:
    """Gradient at what each reader of a layer reads, summed over rows: (reader, token, width)."""
    x = slopes.before_attention[layer][:, tokens]
    y = slopes.before_ffn[layer][:, tokens]
    ffn = slopes.ffn[layer][:, tokens]
    counts = (graph.n_heads, graph.n_kv_heads, graph.n_kv_heads)
    # Every head needs the norm's derivative at full width: a few rows at a time.
    step = max(1, chunk_values // (graph.readers_per_layer * x[0].numel()))
    total = x.new_zeros(graph.readers_per_layer, *x.shape[1:])
    for first in range(0, len(x), step):
        rows = slice(first, first + step)
        behind = []
        for module, slope, n in zip(
            parts.attention_in[layer], slopes.heads[layer], counts, strict=True
        ):
            by_head = slope[rows, tokens].unflatten(-1, (n, -1))
            weight = rows_by_head(module, n, out=False)
            behind.append(torch.einsum("rthk,hkd->hrtd", by_head, weight))
        heads = _through_norm(parts.attention_norm[layer], x[rows], torch.cat(behind))
        total[:-1] += heads.sum(1)
        total[-1] += _through_norm(parts.ffn_norm[layer], y[rows], ffn[None, rows])[0].sum(0)
    return total


def _through_norm(norm: nn.Module, x: Tensor, slope: Tensor) -> Tensor:
    """Gradients (reader, row, token, width) in front of a norm, from those behind it."""
    with torch.enable_grad():
        leaf = x.expand_as(slope).detach().requires_grad_(True)
        return torch.autograd.grad(norm(leaf), leaf, slope)[0]


def _token_chunks(
    graph: EdgeGraph, n_tokens: int, lm: LanguageModel, chunk_values: int
) -> Iterator[slice]:
    """Token ranges whose sources' outputs fit, all layers together if possible."""
    width = lm.model.get_input_embeddings().embedding_dim
    step = max(1, chunk_values // (graph.n_sources * width))
    for first in range(0, n_tokens, step):
        yield slice(first, min(first + step, n_tokens))
