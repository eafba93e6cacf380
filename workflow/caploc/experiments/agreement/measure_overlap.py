"""How far the masks of different tasks coincide, beside chance."""

from itertools import combinations
from typing import Any

import numpy as np

from caploc.files import store
from caploc.files._old_tables import AGREEMENT, rows
from caploc.files.masks import read_located
from caploc.jobs.job import Job
from caploc.measures import agreement

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
    located, reasons = read_located(spec["tasks"], job.inputs["masks"])
    masks = reasons | {task: grid > 0 for task, grid in located.items()}
    found = [
        ids | {"dataset": a, "reference": b} | row
        for a, b in combinations(spec["tasks"], 2)
        for row in _compare(masks[a], masks[b])
    ]
    store.write_table(rows(found, AGREEMENT), job.outputs["part"], {"origin": job.origin()})


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
