"""Weight times activation, minus what general text needs as well (after MathNeuro, 2410.16930).

    importance(l, j) = sqrt(mean over positions of w(l, j)^2) * sum_i abs(W[i, j])

W is the output projection of the layer. Neurons among the most important ones of general text get
score 0. The paper scores single weights and drops those of the two lists; ours are sums by neuron.
No code was compared.
"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from caploc.locating import Given, mean_over_positions
from caploc.models.language_model import LanguageModel, matrix
from caploc.records import DataError
from caploc.settings import Rule

__all__ = ["RANKED", "TITLE", "UNIT", "score"]

TITLE = "Weight times activation"
UNIT = "ffn neuron"
RANKED = "value"


def score(
    lm: LanguageModel,
    given: Given,
    *,
    seed: int = 0,
    general: Annotated[float, Rule(exclusiveMinimum=0, exclusiveMaximum=1)] = 0.05,
) -> NDArray[np.float64]:
    """Importance for the capability alone: (1, layer, neuron), >= 0.

    Args:
        lm: the model, with its tokenizer.
        given: samples, neutral text among them.
        seed: nothing here is random.
        general: share of all neurons, the most important ones of neutral text, that is taken out.

    Raises:
        DataError: no neutral text.
    """
    if not given.neutral:
        raise DataError("weight_activation needs neutral text: name a task in run.neutral")
    columns = np.stack([matrix(p).double().abs().sum(0).cpu().numpy() for p in lm.projections])
    own, text = (
        np.sqrt(mean_over_positions(lm, samples, lambda w: w.double().square())) * columns
        for samples in (given.own, given.neutral)
    )
    limit = np.quantile(text, 1 - general)
    return np.where(text > limit, 0.0, own)[None]
