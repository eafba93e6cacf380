"""What random controls and other locators need to know of every neuron, task by task.

Settings: `WeighNeurons`. Inputs: ``manifest``, ``samples`` (locate, in the
order of tasks), ``neutral``. Output: ``weights``: task, quantity, layer, values. Quantities:
``activation-size`` (also what controls are matched by), ``gradient-activation``, ``task-neurons``,
and ``mean``, the mean activation at all positions of neutral text.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from caploc.experiments.erasure.settings import WeighNeurons
from caploc.files import store
from caploc.forward.answer_pass import answer_passes
from caploc.forward.processor import use_processor
from caploc.forward.samples import model_of, samples_of
from caploc.jobs.job import Job
from caploc.jobs.progress import tracked
from caploc.locators import activation_size, gradient_activation, task_neurons
from caploc.models.language_model import LanguageModel
from caploc.records import DataError, Dropped, Sample

__all__ = ["BASELINES", "read_weights", "run"]

BASELINES = {
    "activation-size": activation_size,
    "gradient-activation": gradient_activation,
    "task-neurons": task_neurons,
}


def run(job: Job) -> None:
    """Score the locate split of every task by every baseline; average neutral text."""
    use_processor(job.threads)
    told = job.told(WeighNeurons)
    lm = model_of(job.input("manifest"), job.spec)
    schema = pa.schema(
        {"task": pa.string(), "quantity": pa.string(), "layer": pa.int16(), "values":
         pa.list_(pa.float64(), lm.n_neurons)}
    )  # fmt: skip
    rows: list[dict[str, Any]] = []
    paths = dict(zip(told.tasks, job.inputs["samples"], strict=True))
    work = [(task, name) for task in paths for name in BASELINES]
    for task, name in tracked(work, len(work), "weighing neurons"):
        found = BASELINES[name].score(lm, samples_of(paths[task], told.samples))
        rows += _rows(task, name, _mean(found, lm))
    if told.neutral is not None:
        neutral = samples_of(job.input("neutral"), told.samples)
        rows += _rows(told.neutral, "mean", _mean_activation(lm, neutral))
    store.write_table(
        pa.Table.from_pylist(rows, schema), job.outputs["weights"], {"origin": job.origin()}
    )


def read_weights(path: Any, task: str) -> dict[str, NDArray[np.float64]]:
    """(layer, neuron) arrays of one task by quantity.

    Raises:
        DataError: damaged file, or nothing known of the task.
    """
    table = store.read_table(path, ["task", "quantity", "layer", "values"])
    found: dict[str, list[Any]] = {}
    for row in table.to_pylist():
        if row["task"] == task:
            found.setdefault(row["quantity"], []).append(row["values"])
    if not found:
        raise DataError(f"{path}: holds nothing about task {task!r}; delete it and run again")
    return {name: np.array(values, dtype=np.float64) for name, values in found.items()}


def _mean(found: list[NDArray[np.float64] | Dropped], lm: LanguageModel) -> NDArray[np.float64]:
    kept = [f for f in found if not isinstance(f, Dropped)]
    if not kept:
        return np.zeros((lm.n_layers, lm.n_neurons))
    return np.mean(kept, axis=0)


@torch.no_grad()
def _mean_activation(lm: LanguageModel, samples: list[Sample]) -> NDArray[np.float64]:
    total, n = torch.zeros(lm.n_layers, lm.n_neurons, dtype=torch.float64), 0.0
    for found in answer_passes(lm, samples):
        if isinstance(found, tuple):
            continue
        for layer, w in enumerate(found.neurons):
            total[layer] += torch.einsum("sp,spj->j", found.read.double(), w.double()).cpu()
        n += float(found.read.sum())
    return (total / max(n, 1.0)).numpy()


def _rows(task: str, quantity: str, grid: NDArray[np.float64]) -> Iterator[dict[str, Any]]:
    for layer, values in enumerate(grid):
        yield {"task": task, "quantity": quantity, "layer": layer, "values": values.tolist()}
