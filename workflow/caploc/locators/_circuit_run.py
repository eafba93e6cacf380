"""The model with some edges cut: every reader sums its own selection of what sources wrote.

    in_v = constants + sum_u [ edge (u, v) kept ? out_u of this run : out_u of the reference ]

The reference is zero, a mean over texts, or the run on a counterfactual prompt. The model's own
blocks run: the inputs of query, key and value projections, of the FFN and of the last norm are
replaced on the way, and what heads and FFNs write is picked up. Biases of the output projection of
attention are constants, nothing cuts them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from caploc.forward.batch import gold
from caploc.forward.hooks import Hooks
from caploc.locators._edge_graph import Bools, EdgeGraph
from caploc.locators._nodes import (  # fmt: skip
    Parts,
    bias_of,
    graph_of,
    outputs,
    parts_of,
    record_nodes,
    rows_by_head,
)
from caploc.models.language_model import LanguageModel

__all__ = ["answer_log_probability", "mean_outputs", "reference_outputs", "run_alone"]


@torch.no_grad()
def run_alone(
    lm: LanguageModel, edges: Bools, ids: list[int], reference: Tensor | None = None
) -> Tensor:
    """Logits of the model when only some edges carry what this run writes.

    Args:
        lm: the model.
        edges: (edge,) True where the edge is kept.
        ids: token ids.
        reference: (source, token or 1, width) what cut edges carry; None means zero.

    Returns:
        (token, vocab) logits.

    Raises:
        DataError: see `graph_of`.
        ValueError: not one entry per edge.
    """
    graph = graph_of(lm)
    kept = torch.from_numpy(graph.grid(edges)).to(lm.device)
    embedded = torch.tensor([ids], device=lm.device)
    shape = (graph.n_sources, len(ids), lm.model.get_input_embeddings().embedding_dim)
    if reference is None:
        reference = torch.zeros(1, 1, 1, dtype=lm.dtype, device=lm.device)
    state = _State(
        lm, graph, parts_of(lm), kept, reference.to(lm.device, lm.dtype).expand(shape),
        torch.zeros(shape, dtype=lm.dtype, device=lm.device),
        torch.zeros(shape[-1], dtype=lm.dtype, device=lm.device),
    )  # fmt: skip
    with _edges_cut(state):
        final = lm.model.base_model(input_ids=embedded, use_cache=False).last_hidden_state
    return lm.logits(final)[0]


@torch.no_grad()
def reference_outputs(lm: LanguageModel, ids: list[int]) -> Tensor:
    """What every source writes on another prompt: (source, token, width)."""
    nodes = record_nodes(lm, torch.tensor([ids], device=lm.device))
    return outputs(lm, nodes, range(lm.n_layers))[:, 0]


def answer_log_probability(z: Tensor, answer: list[int]) -> float:
    """Mean log P of the answer tokens, in nats, from their logits (answer token, vocab)."""
    return float(gold(z, torch.tensor(answer, device=z.device)).mean())


def mean_outputs(lm: LanguageModel, texts: list[list[int]]) -> Tensor:
    """Mean over all tokens of some texts of what every source writes: (source, 1, width).

    Raises:
        ValueError: no text.
    """
    if not texts:
        raise ValueError("a mean needs at least one text")
    total = sum(reference_outputs(lm, ids).sum(1, keepdim=True) for ids in texts)
    assert isinstance(total, Tensor)
    return total / sum(map(len, texts))


@dataclass(slots=True)
class _State:
    """One run on its way.

    Attributes:
        lm: the model.
        graph: its edges.
        parts: its modules.
        kept: (reader, source) edges kept.
        reference: (source, token, width) what cut edges carry.
        written: as reference; what this run's sources wrote so far.
        constant: (width,) sum of the output biases of attention so far.
    """

    lm: LanguageModel
    graph: EdgeGraph
    parts: Parts
    kept: Tensor
    reference: Tensor
    written: Tensor
    constant: Tensor

    def stream(self, readers: slice) -> Tensor:
        """What some readers of one layer read: (reader, token, width)."""
        n = int(self.graph.sources_read[readers].max())
        kept = self.kept[readers, :n]
        chosen = kept.to(self.written.dtype)
        mine = torch.einsum("rs,std->rtd", chosen, self.written[:n])
        readable = torch.from_numpy(self.graph.possible[readers, :n]).to(kept.device)
        other = torch.einsum("rs,std->rtd", (readable & ~kept).to(chosen), self.reference[:n])
        return mine + other + self.constant


@contextmanager
def _edges_cut(state: _State) -> Iterator[None]:
    """Replace what every reader reads, and pick up what every source writes."""
    lm, graph, parts = state.lm, state.graph, state.parts

    def first_block(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        state.written[0] = (args[0] if args else kwargs["hidden_states"])[0]

    def projection(layer: int, which: int) -> Any:
        counts = (graph.n_heads, graph.n_kv_heads, graph.n_kv_heads)
        start = graph.readers(layer).start + sum(counts[:which])
        readers = slice(start, start + counts[which])

        def replace(module: nn.Module, args: Any, output: Tensor) -> Tensor:
            read = parts.attention_norm[layer](state.stream(readers))
            weight = rows_by_head(module, counts[which], out=False)
            by_head = torch.einsum("htd,hkd->thk", read, weight).flatten(1)
            bias = bias_of(module)
            return (by_head if bias is None else by_head + bias).view_as(output)

        return replace

    def attention_wrote(layer: int) -> Any:
        def keep(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            z = args[0].view(state.written.shape[1], graph.n_heads, -1)
            weight = rows_by_head(module, graph.n_heads, out=True)
            state.written[graph.heads(layer)] = torch.einsum("thk,hkd->htd", z, weight)
            if not graph.parallel:
                add_bias(layer)

        return keep

    def ffn_reads(layer: int) -> Any:
        reader = graph.readers(layer).stop - 1

        def replace(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            read = parts.ffn_norm[layer](state.stream(slice(reader, reader + 1)))
            return (read.view_as(args[0]), *args[1:])

        return replace

    def ffn_wrote(layer: int) -> Any:
        def keep(module: nn.Module, args: Any, output: Tensor) -> None:
            state.written[graph.heads(layer).stop] = output.view(state.written.shape[1:])
            if graph.parallel:
                add_bias(layer)

        return keep

    def add_bias(layer: int) -> None:
        bias = bias_of(parts.attention_out[layer])
        if bias is not None:
            state.constant = state.constant + bias

    def head_reads(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (state.stream(slice(graph.n_readers - 1, graph.n_readers)),)

    with Hooks() as hooks:
        hooks.before(lm.blocks[0], first_block, with_kwargs=True)
        for layer in range(lm.n_layers):
            for which, module in enumerate(parts.attention_in[layer]):
                hooks.after(module, projection(layer, which))
            hooks.before(parts.attention_out[layer], attention_wrote(layer))
            for module in parts.ffn_in[layer]:
                hooks.before(module, ffn_reads(layer))
            hooks.after(parts.ffn_out[layer], ffn_wrote(layer))
        hooks.before(lm.final_norm, head_reads)
        yield
