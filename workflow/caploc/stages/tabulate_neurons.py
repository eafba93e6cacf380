"""The located neurons of every task, and which other tasks located them too."""

from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caploc.files import store
from caploc.files._old_tables import NEURONS, write
from caploc.jobs.job import Job

__all__ = ["run"]


def run(job: Job) -> None:
    """List every located neuron with its score and z.

    Args:
        job: inputs ``masks`` of all models, tasks, methods and mask rules; outputs ``csv`` and
            ``parquet``. Masks that were not computed have no rows.

    Raises:
        DataError: a damaged mask.
    """
    groups: dict[tuple[str, ...], dict[str, tuple[pa.Table, Any]]] = defaultdict(dict)
    for path in job.inputs["masks"]:
        metadata = store.read_metadata(path)
        if "not_computed" not in metadata:
            spec = metadata["origin"]["spec"]
            table = store.read_table(path, ["layer", "neuron", "score", "z"])
            key = tuple(spec[name] for name in ("model", "method", "mask"))
            groups[key][spec["task"]] = (table, metadata)
    parts = [NEURONS.empty_table()]
    for (model, method, mask), tasks in groups.items():
        shared = _shared_by({task: _places(*found) for task, found in tasks.items()})
        for task, (table, metadata) in tasks.items():
            ids = {"model": model, "dataset": task, "method": method, "mask": mask}
            ids["sigma"] = metadata["sigma"]
            parts += [_part(table, ids, shared[task], metric) for metric in ("score", "z")]
    write(job, pa.concat_tables(parts))


def _places(table: pa.Table, metadata: dict[str, Any]) -> NDArray[np.int64]:
    """One number for each located neuron of a grid, ascending as in the file."""
    layers = table["layer"].to_numpy().astype(np.int64)
    return layers * metadata["n_neurons"] + table["neuron"].to_numpy()


def _shared_by(places: dict[str, NDArray[np.int64]]) -> dict[str, list[str]]:
    """Ids of the other tasks of each neuron of each task, joined with ";" in the order given."""
    tasks = list(places)
    owned = [np.isin(np.concatenate([*places.values(), []]), places[task]) for task in tasks]
    members = np.array(owned).T
    # There are few different sets of tasks, so their names are joined once for each set.
    patterns, which = np.unique(members, axis=0, return_inverse=True)
    names = [[task for task, is_in in zip(tasks, row, strict=True) if is_in] for row in patterns]
    result, first = {}, 0
    for task in tasks:
        rows = which.reshape(-1)[first : first + len(places[task])]
        texts = [";".join(name for name in row if name != task) for row in names]
        result[task] = [texts[row] for row in rows]
        first += len(places[task])
    return result


def _part(table: pa.Table, ids: dict[str, Any], shared_by: list[str], metric: str) -> pa.Table:
    n = table.num_rows
    columns = {name: [value] * n for name, value in ids.items()}
    columns |= {"layer": table["layer"], "neuron": table["neuron"], "shared_by": shared_by}
    columns |= {"metric": [metric] * n, "value": table[metric]}
    return pa.table(columns, schema=NEURONS)
