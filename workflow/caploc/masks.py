"""Located neurons: the outliers among the mean scores of a grid.

    mask(l, j) = 1  where  |Score(l, j) - mean(Score)| > sigma * var(Score)

`scores` is Score, `sigma` the threshold. The paper prints var; scores are tiny probabilities, so a
variance lies many orders below them and that rule passes nearly every neuron. The default is the
standard deviation (population, over all layers together); `dispersion="var"` is the printed rule.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from caploc import store
from caploc.records import DataError

__all__ = ["Standard", "outliers", "read_mask", "rule_of", "standard", "unusable", "write_mask"]

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
    grid = _grid(scores)
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
    grid = _grid(scores)
    basis = standard(grid, dispersion, per_layer)
    distance = grid - basis.mean[:, None]
    threshold = sigma * basis.dispersion[:, None]
    high, low = distance > threshold, distance < -threshold
    return {"both": high | low, "positive": high, "negative": low}[sign]


def rule_of(settings: dict[str, Any]) -> dict[str, Any]:
    """The keywords of `outliers` among the settings of a stage or of the config."""
    keys = ("sigma", "dispersion", "per_layer", "sign")
    return {key: settings[key] for key in keys if key in settings}


def write_mask(
    path: Path, scores: ArrayLike, rule: dict[str, Any], metadata: dict[str, Any]
) -> int:
    """Apply a mask rule to scores and write the located neurons with score and z.

    Args:
        path: file to make: one row per located neuron, by layer, then neuron (zero-based).
        scores: (layer, neuron) mean scores.
        rule: keywords of `outliers`.
        metadata: origin and n_samples; the rule, the sizes and the threshold are added. `mean`,
            `dispersion_value` and `threshold` are lists (layer,) if the rule is per layer.

    Returns:
        Number of located neurons.

    Raises:
        ValueError: as `outliers`.
    """
    grid = _grid(scores)
    mask = outliers(grid, **rule)
    per_layer = rule.get("per_layer", False)
    basis = standard(grid, rule.get("dispersion", "std"), per_layer)
    layers, neurons = np.nonzero(mask)
    found = grid[layers, neurons]
    spread = basis.dispersion[layers]
    # A located neuron lies beyond sigma * spread, which may be 0 in an otherwise constant layer
    # only by underflow of the variance; z is then infinite and left out as null.
    with np.errstate(divide="ignore"):
        z = (found - basis.mean[layers]) / spread
    table = pa.table(
        {
            "layer": pa.array(layers, pa.int16()),
            "neuron": pa.array(neurons, pa.int32()),
            "score": pa.array(found, pa.float64()),
            "z": pa.array(z, pa.float64(), mask=~np.isfinite(z)),
        }
    )

    def shown(values: NDArray[np.float64]) -> Any:
        return values.tolist() if per_layer else float(values[0])

    sizes = {"n_layers": grid.shape[0], "n_neurons": grid.shape[1], "n_located": len(found)}
    basis_shown = {
        "mean": shown(basis.mean),
        "dispersion_value": shown(basis.dispersion),
        "threshold": shown(rule["sigma"] * basis.dispersion),
    }
    rule = {"dispersion": "std", "per_layer": False, "sign": "both"} | rule
    store.write_table(table, path, metadata | rule | sizes | basis_shown)
    return len(found)


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Read a mask file.

    Returns:
        (layer, neuron) True where located; all False for an empty mask.

    Raises:
        DataError: damaged file, a neuron outside the grid or listed twice, or a mask that was not
            computed for lack of samples (the message gives the reason).
    """
    metadata = store.read_metadata(path)
    if "not_computed" in metadata:
        raise DataError(
            f"{path}: holds no mask, it was not computed: {metadata['not_computed']}; give the "
            "task more samples or take it out of the run"
        )
    table = store.read_table(path, ["layer", "neuron"])
    try:
        shape = (metadata["n_layers"], metadata["n_neurons"])
    except KeyError as error:
        raise DataError(f"{path}: is no mask file (no {error} in its metadata)") from None
    layers = table["layer"].to_numpy().astype(np.int64)
    neurons = table["neuron"].to_numpy().astype(np.int64)
    outside = (layers < 0) | (layers >= shape[0]) | (neurons < 0) | (neurons >= shape[1])
    if outside.any():
        row = int(np.argmax(outside))
        raise DataError(
            f"{path}: row {row} names layer {layers[row]}, neuron {neurons[row]}, but the grid "
            f"has {shape[0]} layers of {shape[1]} neurons; delete the file and run again"
        )
    mask = np.zeros(shape, dtype=np.bool_)
    mask[layers, neurons] = True
    if np.count_nonzero(mask) != len(layers):
        raise DataError(f"{path}: lists a neuron twice; delete the file and run again")
    return mask


def unusable(metadata: Mapping[str, Any]) -> str | None:
    """Why no experiment uses a mask or scores, by their metadata; None if they are used.

    A mask of too few samples is made, to be looked at.
    """
    return metadata.get("not_computed", metadata.get("too_few"))


def _grid(scores: ArrayLike) -> NDArray[np.float64]:
    grid = np.asarray(scores, dtype=np.float64)
    if grid.ndim != 2 or grid.size == 0:
        raise ValueError(f"scores of shape {grid.shape}; expected (layer, neuron), not empty")
    if not np.isfinite(grid).all():
        raise ValueError("a score is not finite")
    return grid
