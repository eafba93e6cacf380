"""In which order each locator of facts names what should be silenced, as units of `_budgets`.

kn        neurons by their score for the fact, as far as it is above 0
cnl       neurons by the distance of their mean score over all known facts from the mean of all
          neurons, as masks do: one ranking for all facts
rome      layers by their effect for the fact; within a layer, for tracing does not rank there,
          neurons by the size of what they write at the last subject token
circuit   heads and FFN layers by the sum of the absolute scores of the edges out of them, as
          far as it is above 0
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from caploc.experiments.reliability._budgets import Units
from caploc.experiments.reliability._known_facts import sample_of
from caploc.files.located import stream_scores
from caploc.forward.hooks import recorded_neurons
from caploc.forward.subject import tokens_of
from caploc.locators.circuit import graph_of
from caploc.models.language_model import LanguageModel, matrix

__all__ = ["LOCATORS", "mean_scores", "rankings", "units_of"]

LOCATORS = ("kn", "rome", "circuit", "cnl")
Ids = NDArray[np.int64]


def units_of(lm: LanguageModel) -> Units:
    """What can be silenced in a model, with its price.

    Raises:
        DataError: the family does not name the output projection of attention.
    """
    attention_out = matrix(lm.parts("attention_out", "the shared metric")[0])
    width, inner = attention_out.shape
    n_heads = int(lm.model.config.num_attention_heads)
    if lm.family.experts:
        n_first = 2  # gate and up projection of every expert
    else:
        block = lm.blocks[0]
        rows = [matrix(block.get_submodule(path)).shape[0] for path in lm.family.ffn_in]
        n_first = sum(rows) // lm.n_neurons
    return Units(
        n_layers=lm.n_layers,
        n_neurons=lm.n_neurons,
        n_heads=n_heads,
        neuron_cost=(1 + n_first) * width,
        head_cost=4 * width * (inner // n_heads),
    )


def mean_scores(paths: Sequence[Path], facts: Iterable[str]) -> NDArray[np.float64] | None:
    """(neuron,) mean score over the original prompts of some facts; None without any."""
    wanted, total, n = set(facts), None, 0
    for fact_id, prompt_id, scores in stream_scores(paths):
        if prompt_id == 0 and fact_id in wanted:
            total = scores.astype(np.float64) + (0.0 if total is None else total)
            n += 1
    return None if total is None else total / n


def rankings(
    lm: LanguageModel,
    units: Units,
    rows: Sequence[Mapping[str, Any]],
    paths: Mapping[str, Sequence[Path]],
    means: NDArray[np.float64] | None,
) -> dict[str, dict[str, Ids]]:
    """Units in the order of each locator, best first.

    Args:
        lm: the model.
        units: of the model.
        rows: the facts.
        paths: files of located sets by locator; ``cnl`` needs none.
        means: from `mean_scores`.

    Returns:
        {locator: {fact_id: (unit,) ranking}}; a fact that a locator left out is missing.
    """
    by_id = {row["fact_id"]: row for row in rows}
    rank: dict[str, Callable[[Mapping[str, Any], NDArray[np.float32]], Ids]] = {
        "kn": lambda row, scores: _descending(scores, scores > 0),
        "rome": lambda row, scores: _by_layer(lm, units, row, scores),
        "circuit": lambda row, scores: _nodes(lm, units, scores),
    }
    found: dict[str, dict[str, Ids]] = {
        name: {
            fact_id: order(by_id[fact_id], scores)
            for fact_id, prompt_id, scores in stream_scores(paths[name])
            if prompt_id == 0 and fact_id in by_id
        }
        for name, order in rank.items()
    }
    if means is not None:
        common = _descending(np.abs(means - means.mean()))
        found["cnl"] = dict.fromkeys(by_id, common)
    return {name: found.get(name, {}) for name in LOCATORS}


def _descending(scores: NDArray[np.floating], usable: NDArray[np.bool_] | None = None) -> Ids:
    """Indices from the largest score down; of equal ones the lower index first."""
    order = np.argsort(-scores, kind="stable")
    return order if usable is None else order[usable[order]]


def _by_layer(
    lm: LanguageModel, units: Units, row: Mapping[str, Any], effects: NDArray[np.float32]
) -> Ids:
    sizes = _written(lm, row)
    return np.concatenate(
        [layer * units.n_neurons + _descending(sizes[layer]) for layer in _descending(effects)]
    )


def _written(lm: LanguageModel, row: Mapping[str, Any]) -> NDArray[np.float64]:
    """(layer, neuron) |activation| x norm of the output column, at the last subject token."""
    tokens = tokens_of(lm, sample_of(dict(row)))
    ids = torch.tensor([tokens.prompt[: tokens.last + 1]], device=lm.device)
    return np.stack(
        [
            (w.double().abs() * matrix(p).double().norm(dim=0)).cpu().numpy()
            for w, p in zip(recorded_neurons(lm, ids, at=(0, -1)), lm.projections, strict=True)
        ]
    )


def _nodes(lm: LanguageModel, units: Units, scores: NDArray[np.float32]) -> Ids:
    graph = graph_of(lm)
    of_source = graph.grid(np.abs(scores.astype(np.float64))).sum(axis=0)
    sums, ids = [], []
    for layer in range(graph.n_layers):
        heads = graph.heads(layer)
        sums += [*of_source[heads], of_source[heads.stop]]
        ids += [units.head(layer, head) for head in range(graph.n_heads)]
        ids.append(units.ffn_layer(layer))
    total = np.array(sums)
    return np.array(ids, dtype=np.int64)[_descending(total, total > 0)]
