"""What every node of a decoder writes into the residual stream, and where each reader reads it.

The residual stream in front of a reader is the sum of the embedding and of all that attention and
FFNs in front of it wrote. A head writes z_h W_h, with z_h its part of the input of the output
projection and W_h the rows of the projection for it; the projection's bias belongs to no head and
is always there. That a model is built like this is checked once, on the loaded model itself: a
norm or a factor between a node and the stream would make every edge wrong.
"""

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from caploc.forward.hooks import Hooks
from caploc.locators._edge_graph import EdgeGraph
from caploc.models.language_model import LanguageModel, matrix
from caploc.models.placement import held_weight_and_bias
from caploc.models.recognition import part
from caploc.records import DataError

__all__ = [
    "Nodes",
    "Parts",
    "bias_of",
    "difference",
    "first_argument",
    "graph_of",
    "outputs",
    "parts_of",
    "record_nodes",
    "rows_by_head",
]

_NEEDED_BY = "edge attribution"
_GRAPHS: WeakKeyDictionary[nn.Module, EdgeGraph] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Parts:
    """Modules of all blocks, one entry per layer.

    Attributes:
        attention_in: query, key and value projection.
        attention_out: output projection of attention.
        attention_norm: norm in front of attention.
        ffn_norm: norm in front of the FFN.
        ffn_in: first projections of the FFN.
        ffn_out: output projection of the FFN.
    """

    attention_in: list[tuple[nn.Module, nn.Module, nn.Module]]
    attention_out: list[nn.Module]
    attention_norm: list[nn.Module]
    ffn_norm: list[nn.Module]
    ffn_in: list[list[nn.Module]]
    ffn_out: list[nn.Linear]


@dataclass(frozen=True, slots=True)
class Nodes:
    """What one pass wrote.

    Attributes:
        embedding: (row, token, width) input of the first block.
        heads: per layer (row, token, head, head width) input of the output projection.
        attention: per layer (row, token, width) its output, with the bias.
        ffn: per layer (row, token, width) output of the FFN.
        before_attention: per layer (row, token, width) input of the norm.
        before_ffn: per layer (row, token, width) input of the norm.
        before_head: (row, token, width) input of the last norm.
    """

    embedding: Tensor
    heads: list[Tensor]
    attention: list[Tensor]
    ffn: list[Tensor]
    before_attention: list[Tensor]
    before_ffn: list[Tensor]
    before_head: Tensor


def parts_of(lm: LanguageModel) -> Parts:
    """The modules that edges lead from and to.

    Raises:
        DataError: the family does not name them, or query, key and value are one projection.
    """
    if len(lm.family.attention_in) != 3:
        raise DataError(
            f"family {lm.family.name} names no separate query, key and value projection "
            f"(attention_in), which {_NEEDED_BY} needs; add them to "
            f"workflow/caploc/models/families/{lm.family.name}.py or leave circuits out of the run"
        )
    name = type(lm.model).__name__
    return Parts(
        attention_in=[
            tuple(part(block, path, name) for path in lm.family.attention_in) for block in lm.blocks
        ],
        attention_out=lm.parts("attention_out", _NEEDED_BY),
        attention_norm=lm.parts("attention_norm", _NEEDED_BY),
        ffn_norm=lm.parts("ffn_norm", _NEEDED_BY),
        ffn_in=[[part(block, path, name) for path in lm.family.ffn_in] for block in lm.blocks],
        ffn_out=lm.projections,
    )


def rows_by_head(module: nn.Module, n_heads: int, *, out: bool) -> Tensor:
    """Weights of a projection of attention, one matrix a head.

    Args:
        module: the projection.
        n_heads: heads that share the projection.
        out: is it the output projection, whose *inputs* belong to the heads?

    Returns:
        (head, head width, width).
    """
    weight = matrix(module)
    if out:
        weight = weight.T
    return weight.reshape(n_heads, -1, weight.shape[1])


def bias_of(module: nn.Module) -> Tensor | None:
    """Bias of a projection, if it has one."""
    return held_weight_and_bias(module)[1]


@torch.no_grad()
def record_nodes(lm: LanguageModel, ids: Tensor) -> Nodes:
    """Run the model over rows of token ids and keep what every node wrote.

    Args:
        lm: the model.
        ids: (row, token).
    """
    parts = parts_of(lm)
    seen: dict[str, list[Tensor]] = {name: [] for name in ("z", "a", "f", "x", "y", "h")}

    def keep(name: str, module: nn.Module, *, before: bool) -> None:
        if before:
            hooks.before(module, lambda m, a: seen[name].append(a[0]))
        else:
            # A copy: some families add attention and FFN in place.
            hooks.after(module, lambda m, a, out: seen[name].append(out.clone()))

    with Hooks() as hooks:
        for layer in range(lm.n_layers):
            keep("z", parts.attention_out[layer], before=True)
            keep("a", parts.attention_out[layer], before=False)
            keep("f", parts.ffn_out[layer], before=False)
            keep("x", parts.attention_norm[layer], before=True)
            if parts.ffn_norm[layer] is not parts.attention_norm[layer]:
                keep("y", parts.ffn_norm[layer], before=True)
        keep("h", lm.final_norm, before=True)
        lm.model.base_model(input_ids=ids, use_cache=False)
    shape = seen["h"][0].shape
    return Nodes(
        embedding=seen["x"][0],
        heads=[z.view(*shape[:2], _n_heads(lm), -1) for z in seen["z"]],
        attention=[a.view(shape) for a in seen["a"]],
        ffn=[f.view(shape) for f in seen["f"]],
        before_attention=seen["x"],
        # Some families take the FFN's rows out of their sequences.
        before_ffn=[y.view(shape) for y in seen["y"] or seen["x"]],
        before_head=seen["h"][0],
    )


def difference(nodes: Nodes) -> Nodes:
    """First row minus second: what nodes write is linear in these, so one row is enough."""

    def of(x: Tensor) -> Tensor:
        return x[:1] - x[1:2]

    return Nodes(
        embedding=of(nodes.embedding),
        heads=[of(x) for x in nodes.heads],
        attention=[of(x) for x in nodes.attention],
        ffn=[of(x) for x in nodes.ffn],
        before_attention=[of(x) for x in nodes.before_attention],
        before_ffn=[of(x) for x in nodes.before_ffn],
        before_head=of(nodes.before_head),
    )


def outputs(lm: LanguageModel, nodes: Nodes, layers: range, tokens: slice = slice(None)) -> Tensor:
    """What the sources of some layers wrote: (source, row, token, width).

    The embedding comes in front of those of layer 0; an output bias of attention is in none.

    Args:
        lm: the model.
        nodes: from `record_nodes`.
        layers: consecutive layers.
        tokens: which tokens.
    """
    written = [nodes.embedding[None, :, tokens]] if layers.start == 0 else []
    attention_out = lm.parts("attention_out", _NEEDED_BY)
    for layer in layers:
        weight = rows_by_head(attention_out[layer], _n_heads(lm), out=True)
        written.append(torch.einsum("rthk,hkd->hrtd", nodes.heads[layer][:, tokens], weight))
        written.append(nodes.ffn[layer][None, :, tokens])
    return torch.cat(written)


def graph_of(lm: LanguageModel) -> EdgeGraph:
    """Edges of a loaded model, once it was seen to add its nodes up as they are.

    Raises:
        DataError: the residual stream is not the sum of its nodes, so edges would be wrong.
    """
    if lm.model not in _GRAPHS:
        _GRAPHS[lm.model] = _checked_graph(lm)
    return _GRAPHS[lm.model]


def _checked_graph(lm: LanguageModel) -> EdgeGraph:
    ids = torch.arange(min(6, lm.context), device=lm.device)[None] % len(lm.head.weight)
    nodes = record_nodes(lm, ids)
    stream = nodes.embedding
    parallel = []
    for layer in range(lm.n_layers):
        _agree(lm, nodes.before_attention[layer], stream, f"attention of layer {layer}")
        heads = outputs(lm, nodes, range(layer, layer + 1))[-_n_heads(lm) - 1 : -1].sum(0)
        bias = bias_of(lm.parts("attention_out", _NEEDED_BY)[layer])
        added = heads if bias is None else heads + bias
        _agree(lm, nodes.attention[layer], added, f"output projection of attention, layer {layer}")
        before = nodes.before_ffn[layer]
        parallel.append(_far(lm, before, stream + added) > 1 >= _far(lm, before, stream))
        if not parallel[-1]:
            _agree(lm, before, stream + added, f"FFN of layer {layer}")
        stream = stream + nodes.attention[layer] + nodes.ffn[layer]
    _agree(lm, nodes.before_head, stream, "logits")
    if len(set(parallel)) != 1:
        raise DataError(f"{type(lm.model).__name__}: blocks of two kinds have no common edge graph")
    kv_heads = getattr(lm.config, "num_key_value_heads", None) or _n_heads(lm)
    return EdgeGraph(lm.n_layers, _n_heads(lm), int(kv_heads), parallel[0])


def _n_heads(lm: LanguageModel) -> int:
    return int(lm.config.num_attention_heads)


def _far(lm: LanguageModel, found: Tensor, expected: Tensor) -> float:
    """Distance in units of what rounding allows."""
    size = expected.abs().max().item()
    allowed = (0.001 + 32 * torch.finfo(lm.dtype).eps) * size
    return (found - expected).abs().max().item() / allowed


def _agree(lm: LanguageModel, found: Tensor, expected: Tensor, reader: str) -> None:
    if not _far(lm, found, expected) <= 1:
        raise DataError(
            f"{type(lm.model).__name__}: what {reader} reads is not the sum of what embedding, "
            "heads and FFNs in front of it wrote (a norm or a factor behind them?); its edges "
            "cannot be scored: leave circuits out of the run"
        )


def first_argument(args: Any, kwargs: dict[str, Any], value: Tensor) -> tuple[Any, dict[str, Any]]:
    """Arguments of a block with its hidden states replaced."""
    if args:
        return (value, *args[1:]), kwargs
    return args, kwargs | {"hidden_states": value}
