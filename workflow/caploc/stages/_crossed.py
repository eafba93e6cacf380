"""Masks of all data sets of a run, as the stages that cross them read them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caploc import plugins, store
from caploc.masks import read_mask, unusable
from caploc.records import DataError

__all__ = ["capabilities", "read_located"]


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


def capabilities(tasks: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Capability of each task by id: the one the settings name, else that of its plug-in.

    Args:
        tasks: ``id``, ``plugin`` and ``capability`` (or null) of each; the order is kept.
    """
    return {
        entry["id"]: entry["capability"] or plugins.load("tasks", entry["plugin"]).TASK.capability
        for entry in tasks
    }
