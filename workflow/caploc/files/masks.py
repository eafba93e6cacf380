"""Masks as files: one row a located neuron, the rule and the threshold beside them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from caploc.files import store, tables
from caploc.files.tables import COUNT, LAYER, NUMBER, Schema
from caploc.measures.masks import as_grid, outliers, standard
from caploc.records import DataError

__all__ = ["MASK", "read_located", "read_mask", "read_usable", "unusable", "write_mask"]

MASK: Schema = {"layer": LAYER, "neuron": COUNT, "score": NUMBER, "z": NUMBER}
"""One row a located neuron, by layer, then neuron (zero-based)."""


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
    grid = as_grid(scores)
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
    table = pl.DataFrame([layers, neurons, found, z], dict(MASK)).with_columns(
        z=pl.when(pl.col("z").is_finite()).then("z")
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
    store.write_table(tables.arrow(table), path, metadata | rule | sizes | basis_shown)
    return len(found)


def read_mask(path: str | Path) -> NDArray[np.bool_]:
    """Read a mask file.

    Returns:
        (layer, neuron) True where located; all False for an empty mask.

    Raises:
        DataError: damaged file, a neuron outside the grid or listed twice, or a mask that was not
            computed for lack of samples (the message gives the reason).
    """
    path = Path(path)
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


def read_usable(
    names: Sequence[str], paths: Sequence[Path]
) -> tuple[dict[str, NDArray[np.bool_]], dict[str, str]]:
    """Masks that experiments can use, by name, and why the others were not computed.

    Raises:
        DataError: a damaged mask.
    """
    masks, reasons = {}, {}
    for name, path in zip(names, paths, strict=True):
        reason = unusable(store.read_metadata(path))
        if reason:
            reasons[name] = reason
        else:
            masks[name] = read_mask(path)
    return masks, reasons


def read_located(
    tasks: Sequence[str], paths: Sequence[Path]
) -> tuple[dict[str, NDArray[np.float64]], dict[str, str]]:
    """Located neurons of every data set.

    Args:
        tasks: ids.
        paths: their mask files, in the same order.

    Returns:
        task -> (layer, neuron) |z| where located, 0 elsewhere; task -> why there is none to use.

    Raises:
        DataError: a damaged mask, a mask of another task, or grids that differ.
    """
    found: dict[str, NDArray[np.float64]] = {}
    reasons = {}
    for task, path in zip(tasks, paths, strict=True):
        metadata = store.read_metadata(path)
        whose = metadata.get("origin", {}).get("spec", {}).get("task")
        if whose != task:
            raise DataError(
                f"{path}: is the mask of {whose!r}, expected {task!r}; delete it and run again"
            )
        reason = unusable(metadata)
        if reason:
            reasons[task] = reason
            continue
        grid = read_mask(path).astype(np.float64)
        table = store.read_table(path, ["layer", "neuron", "z"])
        # z is null where it is infinite, see `masks.write_mask`.
        z = [np.inf if value is None else abs(value) for value in table["z"].to_pylist()]
        grid[table["layer"].to_numpy(), table["neuron"].to_numpy()] = z
        found[task] = grid
    sizes = {grid.shape: task for task, grid in found.items()}
    if len(sizes) > 1:
        raise DataError(
            f"masks of {' and '.join(sizes.values())} have grids of "
            f"{' and '.join(map(str, sizes))}: were they made with another model? Delete the "
            "older ones and run again"
        )
    return found, reasons
