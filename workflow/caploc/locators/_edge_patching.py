"""References for edge scores, for small models: every edge patched, and greedy pruning (ACDC).

Patching an edge gives its reader, at all tokens, what the source wrote on the counterfactual prompt
in place of what it wrote on the clean one; everything behind the reader follows. Only the blocks
from the reader's on are run, for all sources of a reader at once.

ACDC walks from the output to the input and drops every edge whose loss of M, beyond the edges that
were dropped before, is below a threshold: one run of the model per edge.

Source: Conmy et al. 2023, "Towards Automated Circuit Discovery for Mechanistic Interpretability",
algorithm 1; threshold 0.01 on the negative log-likelihood as in Yao et al. 2024, "Knowledge
Circuits in Pretrained Transformers".
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from caploc.forward.hooks import Hooks
from caploc.locators._answer_pairs import contrast_of, tokens_of
from caploc.locators._block_calls import record_rows, run_block
from caploc.locators._circuit_run import answer_log_probability, reference_outputs, run_alone
from caploc.locators._edge_graph import Bools
from caploc.locators._edge_slopes import measure
from caploc.locators._nodes import (  # fmt: skip
    bias_of,
    graph_of,
    outputs,
    parts_of,
    record_nodes,
    rows_by_head,
)
from caploc.models.language_model import LanguageModel
from caploc.records import Sample

__all__ = ["patch", "patch_edges", "prune", "prune_greedily"]


@torch.no_grad()
def patch_edges(
    lm: LanguageModel,
    clean: list[int],
    corrupt: list[int],
    answer: list[int],
    contrast: int | None = None,
) -> NDArray[np.float64]:
    """What every edge is worth alone: (edge,) M(clean) - M(clean with the edge patched), in nats.

    Args:
        lm: the model; as many runs of its blocks as there are readers.
        clean: token ids of the prompt.
        corrupt: of the counterfactual prompt, as many.
        answer: of the gold answer, read behind both.
        contrast: token whose logit is subtracted from the answer's; None means log-probability.
    """
    graph, needed_by = graph_of(lm), "edge patching"
    ids = torch.tensor([[*c, *answer[:-1]] for c in (clean, corrupt)], device=lm.device)
    nodes = record_nodes(lm, ids)
    written = outputs(lm, nodes, range(lm.n_layers))
    difference = written[:, 0] - written[:, 1]
    recorded = record_rows(lm, lm.model.get_input_embeddings()(ids[:1]), needed_by)
    clean_m = measure(lm, nodes.before_head[:1], answer, contrast)
    effects = []
    for reader, n in enumerate(graph.sources_read):
        layer = int(graph.reader_layer[reader])
        if layer == lm.n_layers:
            hidden = nodes.before_head[:1] - difference
        else:
            within = reader - graph.readers(layer).start
            is_ffn = within == graph.readers_per_layer - 1
            before = (nodes.before_ffn if is_ffn else nodes.before_attention)[layer][0]
            hidden = recorded.inputs[layer][:1].expand(int(n), -1, -1, -1)
            with _patched(lm, layer, within, before - difference[: int(n)]):
                hidden = run_block(lm, recorded, layer, hidden, 0)
            for later in range(layer + 1, lm.n_layers):
                hidden = run_block(lm, recorded, later, hidden, 0)
            hidden = hidden[:, 0]
        effects.append(clean_m - measure(lm, hidden, answer, contrast))
    return torch.cat(effects).double().cpu().numpy()


@contextmanager
def _patched(lm: LanguageModel, layer: int, within: int, streams: Tensor) -> Iterator[None]:
    """While a block runs, one of its readers reads other streams: (row, token, width)."""
    graph, parts = graph_of(lm), parts_of(lm)
    counts = (graph.n_heads, graph.n_kv_heads, graph.n_kv_heads)
    with Hooks() as hooks:
        if within == graph.readers_per_layer - 1:
            read = parts.ffn_norm[layer](streams)
            for module in parts.ffn_in[layer]:
                hooks.before(module, lambda m, a: (read.view_as(a[0]), *a[1:]))
        else:
            which = int(np.searchsorted(np.cumsum(counts), within, side="right"))
            head = within - sum(counts[:which])
            module = parts.attention_in[layer][which]
            weight = rows_by_head(module, counts[which], out=False)[head]
            rows = slice(head * len(weight), (head + 1) * len(weight))
            read = parts.attention_norm[layer](streams) @ weight.T
            if (bias := bias_of(module)) is not None:
                read = read + bias[rows]

            def replace(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
                changed = output.clone()
                changed.view(*read.shape[:2], -1)[..., rows] = read
                return changed

            hooks.after(module, replace)
        yield


def prune_greedily(
    lm: LanguageModel,
    clean: list[int],
    answer: list[int],
    *,
    reference: Tensor | None = None,
    threshold: float = 0.01,
    tick: Callable[[], None] = lambda: None,
) -> Bools:
    """ACDC: (edge,) True where the edge is kept.

    Args:
        lm: the model; one run per edge, so a small one.
        clean: token ids of the prompt.
        answer: of the gold answer.
        reference: (source, token or 1, width) what cut edges carry, see `run_alone`; the tokens are
            those of the prompt and all but the last of the answer.
        threshold: largest loss of M that an edge may cost and still be dropped, in nats.
        tick: called once per edge.
    """
    graph = graph_of(lm)
    ids = [*clean, *answer[:-1]]

    def metric(edges: Bools) -> float:
        z = run_alone(lm, edges, ids, reference)[-len(answer) :]
        return answer_log_probability(z, answer)

    edges = np.ones(graph.n_edges, dtype=bool)
    now = metric(edges)
    # Edges are numbered along the computation, so from last to first is from output to input.
    for edge in reversed(range(graph.n_edges)):
        edges[edge] = False
        without = metric(edges)
        if now - without < threshold:
            now = without
        else:
            edges[edge] = True
        tick()
    return edges


def patch(
    lm: LanguageModel, sample: Sample, *, metric: str = "log_probability"
) -> NDArray[np.float64]:
    """Exact patching, for small models: (edge,) loss of the metric per edge, in nats or logits.

    Raises:
        DataError: see `circuit.locate`.
        Dropped: see `circuit.locate`.
        ValueError: unknown metric.
    """
    clean, corrupt, answer = tokens_of(lm, sample)
    contrast = contrast_of(lm, sample, answer, metric)
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
        DataError: see `circuit.locate`.
        Dropped: see `circuit.locate`.
        ValueError: unknown ablation.
    """
    if ablation not in ("zero", "counterfactual"):
        raise ValueError(f"unknown ablation {ablation!r}; available: zero, counterfactual")
    clean, corrupt, answer = tokens_of(lm, sample)
    reference = None
    if ablation == "counterfactual":
        reference = reference_outputs(lm, [*corrupt, *answer[:-1]])
    return prune_greedily(lm, clean, answer, reference=reference, threshold=threshold)
