"""The table `cross_overlap`: how far the located sets of different data sets coincide."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from caploc.experiments.erasure._crossing import contrast_of, label_test
from caploc.files import store
from caploc.files._old_tables import CROSS_OVERLAP, rows, write
from caploc.files.masks import read_located
from caploc.jobs.job import Job
from caploc.measures import agreement
from caploc.measures.crossed_sets import common, crossed_sets
from caploc.measures.random_sets import draw
from caploc.measures.statistics import permutation_p
from caploc.samples.capabilities import capabilities

__all__ = ["run"]

_DRAWS = 199
_Sets = Mapping[str, NDArray[np.bool_]]


def run(job: Job) -> None:
    """Overlap of every pair, and the contrast of same against other capability.

    Args:
        job: spec tasks (id, plug-in and capability), sigma, mask, seed; input ``masks``, one for
            every model, method and task, the tasks of one model and method together and in the
            order of the settings; outputs ``csv`` and ``parquet``.

    Raises:
        DataError: a damaged mask, a mask of another task, or grids that differ.
    """
    spec = job.spec
    types = capabilities(spec["tasks"])
    groups: dict[tuple[str, str], list[Path]] = {}
    for path in job.inputs["masks"]:
        asked = store.read_metadata(path)["origin"]["spec"]
        groups.setdefault((asked["model"], asked["method"]), []).append(path)
    found: list[dict[str, Any]] = []
    for (model, method), paths in groups.items():
        ids = {"model": model, "method": method, "mask": spec["mask"], "sigma": spec["sigma"]}
        located, reasons = read_located(list(types), paths)
        for task, reason in reasons.items():
            note = {"metric": "overlap", "interval": f"not computed: {reason}", "n": 0}
            found.append(ids | {"source": task} | note)
        if not located:
            continue
        n_common = float(common(located).sum())
        found.append(ids | {"metric": "n_common", "value": n_common, "n": 1})
        for kind, sets in crossed_sets(located).items():
            seed = f"{spec['seed']}/{model}/{method}/{kind}"
            found += [ids | {"sets": kind} | row for row in _pairs(sets)]
            found += [ids | {"sets": kind} | row for row in _contrast(sets, types, seed)]
    write(job, rows(found, CROSS_OVERLAP))


def _pairs(sets: _Sets) -> Iterator[dict[str, Any]]:
    for task, own in sets.items():
        yield {"source": task, "metric": "n_neurons", "value": float(own.sum()), "n": 1}
    for a, b in combinations(sets, 2):
        values = {
            "overlap": agreement.overlap(sets[a], sets[b]),
            "iou": agreement.iou(sets[a], sets[b]),
            "chance_overlap_layer": agreement.chance_overlap_layer(sets[a], sets[b]),
            "shared_count": float(np.count_nonzero(sets[a] & sets[b])),
        }
        for metric, value in values.items():
            where = {"source": a, "target": b, "metric": metric}
            yield where | {"value": value, "n": int(value is not None)}


def _contrast(sets: _Sets, types: Mapping[str, str], seed: str) -> Iterator[dict[str, Any]]:
    """Same against other capability: with random sets of the same layers, and dealt-out labels."""
    tasks, labels = list(sets), [types[task] for task in sets]
    matrix = _matrix(sets, tasks)
    value = contrast_of(matrix, labels)
    if value is None:
        note = "not computed: no two data sets of one capability beside another one"
        yield {"metric": "overlap_contrast", "interval": note, "n": 0}
        return
    null = []
    for k in range(_DRAWS):
        random = {
            task: draw(own, "layer", crc32(f"{seed}/{task}/{k}".encode()))
            for task, own in sets.items()
        }
        drawn = contrast_of(_matrix(random, tasks), labels)
        assert drawn is not None  # the same cells
        null.append(drawn)
    yield {
        "metric": "overlap_contrast", "value": value, "n": len(tasks), "n_draws": _DRAWS,
        "p": permutation_p(value, null), "role": "exploratory",
    }  # fmt: skip
    dealt = label_test(matrix, labels)
    if dealt is not None:
        p, ways = dealt
        yield {
            "metric": "overlap_contrast_labels", "value": value, "p": p, "n": len(tasks),
            "n_draws": ways, "interval": f"all {ways} ways to deal the labels out",
            "role": "exploratory",
        }  # fmt: skip


def _matrix(sets: _Sets, tasks: Sequence[str]) -> NDArray[np.float64]:
    """(source, target) overlap; NaN where a set is empty."""
    matrix = np.full((len(tasks), len(tasks)), np.nan)
    for (i, a), (j, b) in combinations(enumerate(tasks), 2):
        found = agreement.overlap(sets[a], sets[b])
        matrix[i, j] = matrix[j, i] = np.nan if found is None else found
    return matrix
