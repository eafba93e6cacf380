"""Located neurons: the outliers among the mean scores of a grid.

    mask(l, j) = 1  where  |Score(l, j) - mean(Score)| > sigma * var(Score)

`scores` is Score, `sigma` the threshold. The paper prints var; scores are tiny probabilities, so a
variance lies many orders below them and that rule passes nearly every neuron. The default is the
standard deviation (population, over all layers together); `dispersion="var"` is the printed rule.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Standard", "as_grid", "outliers", "rule_of", "standard"]

Dispersion = Literal["std", "var"]
Sign = Literal["both", "positive", "negative"]


@dataclass(frozen=True, slots=True)
class Standard:
    """Mean and dispersion that scores are judged by.

    Attributes:
        mean: (layer,) mean score, the same in every layer unless the rule is per layer.
        dispersion: (layer,) standard deviation or variance, likewise.
    """

    mean: NDArray[np.float64]
    dispersion: NDArray[np.float64]


def standard(
    scores: ArrayLike, dispersion: Dispersion = "std", per_layer: bool = False
) -> Standard:
    """Mean and dispersion of a grid of scores.

    Args:
        scores: (layer, neuron) finite numbers.
        dispersion: population standard deviation or variance.
        per_layer: of each layer by itself instead of all layers together.

    Raises:
        ValueError: wrong shape, a score that is not finite, or an unknown dispersion.
    """
    grid = as_grid(scores)
    if dispersion not in ("std", "var"):
        raise ValueError(f"dispersion {dispersion!r}; expected 'std' or 'var'")
    axis = 1 if per_layer else None
    spread = grid.std(axis=axis) if dispersion == "std" else grid.var(axis=axis)
    shape = (grid.shape[0],)
    return Standard(np.full(shape, grid.mean(axis=axis)), np.full(shape, spread))


def outliers(
    scores: ArrayLike,
    sigma: float,
    dispersion: Dispersion = "std",
    per_layer: bool = False,
    sign: Sign = "both",
) -> NDArray[np.bool_]:
    """Mark the neurons whose score lies far from the mean of the grid.

    Args:
        scores: (layer, neuron) mean contribution, in probability.
        sigma: threshold, in units of the dispersion; > 0.
        dispersion: population standard deviation, or the variance as printed.
        per_layer: judge each layer by its own mean and dispersion.
        sign: which side of the mean counts.

    Returns:
        (layer, neuron) True where |score - mean| > sigma * dispersion.

    Raises:
        ValueError: a setting is out of range, or a score is not finite.
    """
    if not sigma > 0 or not np.isfinite(sigma):
        raise ValueError(f"sigma is {sigma}; expected a finite number above 0")
    if sign not in ("both", "positive", "negative"):
        raise ValueError(f"sign {sign!r}; expected 'both', 'positive' or 'negative'")
    grid = as_grid(scores)
    basis = standard(grid, dispersion, per_layer)
    distance = grid - basis.mean[:, None]
    threshold = sigma * basis.dispersion[:, None]
    high, low = distance > threshold, distance < -threshold
    return {"both": high | low, "positive": high, "negative": low}[sign]


def rule_of(settings: dict[str, Any]) -> dict[str, Any]:
    """The keywords of `outliers` among the settings of a stage or of the config.

    Far below the mean of scores against other tasks are the neurons of those.
    """
    keys = ("sigma", "dispersion", "per_layer", "sign")
    rule = {key: settings[key] for key in keys if key in settings}
    return rule | ({"sign": "positive"} if settings.get("against") == "others" else {})


def as_grid(scores: ArrayLike) -> NDArray[np.float64]:
    """`scores` as a (layer, neuron) array of finite numbers.

    Raises:
        ValueError: another shape, empty, or a score that is not finite.
    """
    grid = np.asarray(scores, dtype=np.float64)
    if grid.ndim != 2 or grid.size == 0:
        raise ValueError(f"scores of shape {grid.shape}; expected (layer, neuron), not empty")
    if not np.isfinite(grid).all():
        raise ValueError("a score is not finite")
    return grid
