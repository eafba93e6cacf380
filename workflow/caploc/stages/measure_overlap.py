"""How far the masks of different tasks coincide, beside chance."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from caploc import agreement, store
from caploc.masks import read_mask
from caploc.provenance import Job
from caploc.records import DataError
from caploc.stages._tables import AGREEMENT, rows

__all__ = ["run"]


def run(job: Job) -> None:
    """Compare every pair of tasks, the earlier one of the config first.

    Args:
        job: inputs ``masks``, one for each of spec ``tasks``, in that order; spec model, method,
            mask, sigma; output ``part``.

    Raises:
        DataError: a damaged mask, a mask of another task, or grids that differ.
    """
    spec = job.spec
    ids = {key: spec[key] for key in ("model", "method", "mask", "sigma")}
    ids |= {"arm": "located", "comparison": "datasets"}
    masks = dict(zip(spec["tasks"], map(_read, spec["tasks"], job.inputs["masks"]), strict=True))
    sizes = {mask.shape: task for task, mask in masks.items() if not isinstance(mask, str)}
    if len(sizes) > 1:
        raise DataError(
            f"masks of {' and '.join(sizes.values())} have grids of "
            f"{' and '.join(map(str, sizes))}: were they made with another model? Delete the "
            "older ones and run again"
        )
    found = [
        ids | {"dataset": a, "reference": b} | row
        for a, b in combinations(spec["tasks"], 2)
        for row in _compare(masks[a], masks[b])
    ]
    store.write_table(rows(found, AGREEMENT), job.outputs["part"], {"origin": job.origin()})


def _read(task: str, path: Path) -> Any:
    """Mask of a task, or why there is none."""
    metadata = store.read_metadata(path)
    found = metadata.get("origin", {}).get("spec", {}).get("task")
    if found != task:
        raise DataError(f"{path}: is the mask of {found!r}, expected {task!r}; delete it and rerun")
    return metadata["not_computed"] if "not_computed" in metadata else read_mask(path)


def _compare(a: Any, b: Any) -> list[dict[str, Any]]:
    for mask in (a, b):
        if isinstance(mask, str):
            return [{"metric": "overlap", "interval": f"not computed: {mask}", "n": 0}]
    values = {
        "overlap": agreement.overlap(a, b),
        "iou": agreement.iou(a, b),
        "chance_overlap_uniform": agreement.chance_overlap_uniform(a, b),
        "chance_overlap_layer": agreement.chance_overlap_layer(a, b),
        "shared_count": float(np.count_nonzero(a & b)),
    }
    return [{"metric": k, "value": v, "n": int(v is not None)} for k, v in values.items()]
