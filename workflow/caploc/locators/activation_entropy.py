"""Activation-probability entropy: neurons that one task alone switches on (after LAPE, 2402.16438).

    p(t) = share of positions of task t at which the gate of the neuron is above 0
    H    = entropy of p over the tasks, p divided by its sum

Specific neurons have a low entropy. Score: log(number of tasks) - H for neurons that the capability
switches on most often; 0 for the others, and for those whose largest p lies below the quantile
`active` of all p. No code was compared.
"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from caploc.locating import Given, mean_over_positions
from caploc.models.language_model import LanguageModel
from caploc.settings import Rule

__all__ = ["RANKED", "TITLE", "UNIT", "score"]

TITLE = "Activation-probability entropy"
UNIT = "ffn neuron"
RANKED = "value"


def score(
    lm: LanguageModel,
    given: Given,
    *,
    seed: int = 0,
    active: Annotated[float, Rule(minimum=0, exclusiveMaximum=1)] = 0.95,
) -> NDArray[np.float64]:
    """How specific each neuron is for the capability: (1, layer, neuron), in nat, >= 0.

    Args:
        lm: the model, with its tokenizer.
        given: samples; those of all tasks are compared.
        seed: nothing here is random.
        active: quantile of all probabilities that the largest of a neuron must reach.
    """
    samples = [given.own, *given.others.values()]
    p = np.stack([mean_over_positions(lm, s, lambda w: w > 0, gates=True) for s in samples])
    share = p / np.maximum(p.sum(axis=0), 1e-12)
    entropy = -(share * np.log(np.maximum(share, 1e-12))).sum(axis=0)
    wanted = (p.argmax(axis=0) == 0) & (p.max(axis=0) >= np.quantile(p, active))
    return np.where(wanted, np.log(len(p)) - entropy, 0.0)[None]
