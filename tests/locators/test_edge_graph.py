"""Counting and pruning of edges against networks drawn edge by edge."""

import numpy as np
import pytest

from caploc.locators._edge_graph import EdgeGraph

GRAPHS = [
    EdgeGraph(1, 1, 1, parallel=False),
    EdgeGraph(3, 4, 2, parallel=False),
    EdgeGraph(3, 2, 2, parallel=True),
    EdgeGraph(2, 4, 1, parallel=True),
]


def names(graph: EdgeGraph) -> list[tuple[tuple, tuple]]:
    """(source, reader) of every edge in order, by the rules in words."""
    heads, groups = range(graph.n_heads), range(graph.n_kv_heads)
    sources: list[tuple] = [("embedding", -1)]
    readers: list[tuple] = []
    for layer in range(graph.n_layers):
        sources += [("head", layer, h) for h in heads] + [("ffn", layer)]
        readers += [("q", layer, h) for h in heads]
        readers += [(x, layer, g) for x in "kv" for g in groups] + [("ffn", layer)]
    readers.append(("logits", graph.n_layers))

    def before(source: tuple, reader: tuple) -> bool:
        beside = source[0] == "head" and reader[0] == "ffn" and not graph.parallel
        return source[1] < reader[1] or (beside and source[1] == reader[1])

    return [(s, r) for r in readers for s in sources if before(s, r)]


def next_nodes(graph: EdgeGraph, reader: tuple) -> list[tuple]:
    """Sources that a reader feeds."""
    kind, layer, *which = reader
    if kind == "q":
        return [("head", layer, which[0])]
    if kind in "kv":
        n = graph.n_heads // graph.n_kv_heads
        return [("head", layer, which[0] * n + i) for i in range(n)]
    return [(kind, layer)]


def connected_by_walking(graph: EdgeGraph, edges: np.ndarray) -> list[bool]:
    """Drop edges that begin or end nowhere until none is left to drop."""
    kept = {edge for edge, keep in zip(names(graph), edges, strict=True) if keep}
    while True:
        fed = {("embedding", -1)} | {n for _, r in kept for n in next_nodes(graph, r)}
        read = {s for s, _ in kept}

        def leads_on(reader: tuple, read: set = read) -> bool:
            return reader[0] == "logits" or any(n in read for n in next_nodes(graph, reader))

        left = {(s, r) for s, r in kept if s in fed and leads_on(r)}
        if left == kept:
            return [edge in kept for edge in names(graph)]
        kept = left


@pytest.mark.parametrize("graph", GRAPHS)
def test_order_and_count(graph: EdgeGraph) -> None:
    expected = names(graph)
    assert graph.n_edges == len(expected) == graph.possible.sum()
    np.testing.assert_array_equal(graph.edge_layer, [reader[1] for _, reader in expected])
    edges = np.arange(graph.n_edges) % 3 == 0
    np.testing.assert_array_equal(graph.grid(edges)[graph.possible], edges)
    assert not graph.grid(edges)[~graph.possible].any()


def test_counts_of_known_models() -> None:
    """Edges of GPT-2 small, GPT-J and both Llama-2 as other programs count them.

    For GPT-J they count those from the heads to the FFN beside them, which a parallel block lacks.
    """
    assert EdgeGraph(12, 12, 12, parallel=False).n_edges == 32491
    assert EdgeGraph(28, 16, 16, parallel=True).n_edges == 317171 - 28 * 16
    assert EdgeGraph(32, 32, 32, parallel=False).n_edges == 1592881
    assert EdgeGraph(40, 40, 40, parallel=False).n_edges == 3877661


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_connected(graph: EdgeGraph, share: float) -> None:
    rng = np.random.default_rng(0)
    n_kept = 0
    for _ in range(30):
        edges = rng.random(graph.n_edges) < share
        found = graph.connected(edges)
        np.testing.assert_array_equal(found, connected_by_walking(graph, edges))
        n_kept += found.sum()
    assert n_kept
    assert graph.connected(np.ones(graph.n_edges, bool)).all()
    assert not graph.connected(np.zeros(graph.n_edges, bool)).any()


def test_wrong_length() -> None:
    with pytest.raises(ValueError, match="edges; this graph has 8"):
        GRAPHS[0].connected(np.ones(7, bool))
