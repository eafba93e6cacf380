"""Named sets of one prompt, and how many units each layer has."""

import numpy as np
import pytest
import torch
from tiny_models import tiny_llama

from caploc.locators import circuit, rome


def tracing(effects):
    """A tracing whose effects at the last subject token are these."""
    cells = np.zeros((len(rome.KINDS), 2, len(effects)))
    cells[rome.KINDS.index("ffn"), 1] = effects
    return rome.Tracing(cells, 0.5, 0.1, ("a", "b"), (0, 1))


def test_layers_of_tracing():
    result = tracing([0.1, 0.4, 0.2, 0.0])
    found = rome.located(result, top=2)
    assert found["best layer"].tolist() == [False, True, False, False]
    assert found["top 2 layers"].tolist() == [False, True, True, False]
    assert rome.per_layer(result) == [1, 1, 1, 1]


@pytest.mark.parametrize("top", [1, 4, 5])
def test_as_many_layers_as_there_are_are_no_finding(top):
    assert list(rome.located(tracing([0.1, 0.4, 0.2, 0.0]), top=top)) == ["best layer"]


def test_edges_of_a_circuit():
    graph = circuit.graph_of(tiny_llama(n_layers=2))
    scores = torch.randn(graph.n_edges, generator=torch.Generator().manual_seed(0)).numpy()
    result = circuit.EdgeAttribution(scores, graph, -1.0, -2.0, 0.0)
    found = circuit.located(result, shares=(0.5, 0.026))
    assert list(found) == ["50 % of edges", "2.6 % of edges"]
    for share in (0.5, 0.026):
        wanted = circuit.select(scores, graph, share)
        assert (found[f"{100 * share:g} % of edges"] == wanted).all()
    sizes = circuit.per_layer(result)
    # two blocks, and the logits behind them
    assert len(sizes) == 3 and sum(sizes) == graph.n_edges
    assert sizes[2] == graph.n_sources
    layers = np.repeat(np.arange(3), sizes)
    assert (layers == graph.edge_layer).all()
