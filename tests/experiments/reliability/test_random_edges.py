"""Random circuits: connected, of the size asked for, and different."""

import numpy as np
import pytest

from caploc.experiments.reliability._random_edges import random_circuit
from caploc.locators.circuit import EdgeGraph

GRAPH = EdgeGraph(n_layers=3, n_heads=4, n_kv_heads=2, parallel=False)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 9, 40, 120, GRAPH.n_edges])
def test_size_and_connection(size):
    rng = np.random.default_rng(size)
    drawn = [random_circuit(GRAPH, size, rng) for _ in range(30)]
    for edges in drawn:
        assert edges.sum() == size
        assert np.array_equal(GRAPH.connected(edges), edges)
    if 2 < size < GRAPH.n_edges:
        assert len({edges.tobytes() for edges in drawn}) > 15


def test_a_size_that_does_not_exist():
    with pytest.raises(ValueError, match="edges wanted"):
        random_circuit(GRAPH, GRAPH.n_edges + 1, np.random.default_rng(0))
