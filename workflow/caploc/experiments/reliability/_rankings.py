"""In which order locators of facts name what should be silenced, as ids of `Units`.

Each by its own `rank`, or by the scores of neurons as far as they are above 0; and beside them, one
ranking for all facts: neurons by the distance of their mean score over all known facts from the
mean of all neurons, as masks do (``cnl``).
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caploc import plugins
from caploc.experiments.reliability._known_facts import sample_of
from caploc.files.located import stream_scores
from caploc.measures.budgets import Units, descending
from caploc.models.language_model import LanguageModel, matrix

__all__ = ["mean_scores", "rankings", "units_of", "words"]

MEAN = "cnl"
Ids = NDArray[np.int64]


def units_of(lm: LanguageModel) -> Units:
    """What can be silenced in a model, with its price.

    Raises:
        DataError: the family does not name the output projection of attention.
    """
    attention_out = matrix(lm.parts("attention_out", "the shared metric")[0])
    width, inner = attention_out.shape
    n_heads = int(lm.config.num_attention_heads)
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


def words(locators: Sequence[str]) -> dict[str, str]:
    """How each ranking is made that budgets are filled from, that of mean scores last."""
    plain = "neurons with a positive score, by score"
    found = {name: getattr(plugins.load("locators", name), "RANK", plain) for name in locators}
    mean = "neurons by the distance of their mean score over all known facts from the mean"
    return found | {MEAN: mean}


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
        paths: files of located sets by locator.
        means: from `mean_scores`.

    Returns:
        {locator: {fact_id: (unit,) ranking}}, that of mean scores last; a fact that a locator left
        out is missing.
    """
    by_id = {row["fact_id"]: sample_of(row) for row in rows}
    found: dict[str, dict[str, Ids]] = {}
    for name, located in paths.items():
        rank = getattr(plugins.load("locators", name), "rank", _by_score)
        found[name] = {
            fact_id: rank(lm, units, by_id[fact_id], scores)
            for fact_id, prompt_id, scores in stream_scores(located)
            if prompt_id == 0 and fact_id in by_id
        }
    common = None if means is None else descending(np.abs(means - means.mean()))
    return found | {MEAN: {} if common is None else dict.fromkeys(by_id, common)}


def _by_score(lm: LanguageModel, units: Units, sample: Any, scores: NDArray[np.floating]) -> Ids:
    return descending(scores, scores > 0)
