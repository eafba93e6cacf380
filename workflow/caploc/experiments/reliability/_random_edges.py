"""Random circuits: sets of edges of a given size, every edge on a path from input to output."""

import numpy as np
from numpy.typing import NDArray

from caploc.locators.circuit import EdgeGraph

__all__ = ["random_circuit"]

_ATTEMPTS = 200
"""A handful of edges is a chain, and not every chain can be made to measure: draw again."""


def random_circuit(
    graph: EdgeGraph, size: int, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Draw a set of edges as a located circuit is made, with random scores in place of real ones.

    Edges are taken in random order until enough of them lie on a path from the embedding to the
    logits. Those too many are taken out again in random order, each with what hangs on it alone; if
    that would leave too few, single edges between the nodes that are left are put in.

    Args:
        graph: which edges there are.
        size: edges wanted, 0 to all.
        generator: of the order.

    Returns:
        (edge,) True where drawn, all of them connected: `size` edges, or fewer in the unlikely case
        that 200 attempts did not meet the size.

    Raises:
        ValueError: `size` is out of range.
    """
    if not 0 <= size <= graph.n_edges:
        raise ValueError(f"{size} edges wanted of {graph.n_edges}")
    if size == 0:
        return np.zeros(graph.n_edges, dtype=np.bool_)
    edges = _drawn(graph, size, generator)
    for _ in range(_ATTEMPTS):
        if edges.sum() == size:
            break
        edges = _drawn(graph, size, generator)
    return edges


def _drawn(graph: EdgeGraph, size: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """One attempt: at most `size` edges."""
    order = generator.permutation(graph.n_edges)

    def among(m: int) -> NDArray[np.bool_]:
        edges = np.zeros(graph.n_edges, dtype=np.bool_)
        edges[order[:m]] = True
        return graph.connected(edges)

    # More edges never disconnect any: bisection.
    low, high = size, graph.n_edges
    while low < high:
        middle = (low + high) // 2
        if among(middle).sum() >= size:
            high = middle
        else:
            low = middle + 1
    edges = among(low)
    spare = []
    for edge in generator.permutation(np.flatnonzero(edges)):
        if edges.sum() == size:
            return edges
        if edges[edge]:
            without = _without(graph, edges, int(edge))
            if without.sum() >= size:
                edges = without
            else:
                spare.append(int(edge))
    if edges.sum() > size:
        edges = _without(graph, edges, next(edge for edge in spare if edges[edge]))
    for edge in generator.permutation(np.flatnonzero(~edges)):
        if edges.sum() == size:
            break
        edges[edge] = True
        # Alone it may lead nowhere.
        edges[edge] = graph.connected(edges)[edge]
    return edges


def _without(graph: EdgeGraph, edges: NDArray[np.bool_], edge: int) -> NDArray[np.bool_]:
    """The set without an edge and without those that are connected by it alone."""
    rest = edges.copy()
    rest[edge] = False
    return graph.connected(rest)
