"""What random controls and other locators need to know of every neuron, task by task.

Settings: `WeighNeurons`. Inputs: ``manifest``, ``samples`` (locate, in the order of tasks),
``neutral``. Output: ``weights``: task, quantity, layer, values. Quantities: the mean scores of each
locator, and ``mean``, the mean activation at all positions of neutral text.
"""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc import plugins
from caploc.experiments.erasure.settings import WeighNeurons
from caploc.files import tables
from caploc.files.tables import LAYER, NUMBER, Schema, texts
from caploc.forward.processor import use_processor
from caploc.forward.samples import model_of, samples_of
from caploc.jobs.job import Job
from caploc.jobs.progress import tracked
from caploc.locating import Given, NothingFits, mean_over_positions, scores_of_task
from caploc.records import DataError

__all__ = ["read_weights", "run"]

_WEIGHTS: Schema = {**texts("task", "quantity"), "layer": LAYER, "values": pl.List(NUMBER)}


def run(job: Job) -> None:
    """Score the locate split of every task by every locator; average neutral text.

    Raises:
        DataError: no sample of neutral text fits the model, or a locator needs such text.
    """
    use_processor(job.threads)
    told = job.told(WeighNeurons)
    lm = model_of(job.input("manifest"), job.spec)
    found: list[pl.DataFrame] = []
    paths = zip(told.tasks, job.inputs["samples"], strict=True)
    samples = {task: samples_of(lm, path, told.samples) for task, path in paths}
    neutral = [] if told.neutral is None else samples_of(lm, job.input("neutral"), told.samples)
    work = [(task, name) for task in samples for name in told.locators]
    for task, name in tracked(work, len(work), "weighing neurons"):
        others = {other: own for other, own in samples.items() if other != task}
        given = Given(samples[task], others, neutral)
        locator = plugins.load("locators", name.replace("-", "_"))
        try:
            grid = scores_of_task(locator, lm, given, seed=told.seed).mean(axis=0)
        except NothingFits:
            # What is compared by these numbers is not computed without samples either.
            grid = np.zeros((lm.n_layers, lm.n_neurons))
        found.append(_rows(task, name, grid))
    if told.neutral is not None:
        found.append(_rows(told.neutral, "mean", mean_over_positions(lm, neutral, lambda w: w)))
    tables.write_part(tables.gathered(found, _WEIGHTS), job.outputs["weights"], job.origin())


def read_weights(path: Path, task: str) -> dict[str, NDArray[np.float64]]:
    """(layer, neuron) arrays of one task by quantity.

    Raises:
        DataError: damaged file, or nothing known of the task.
    """
    found = tables.read(path, _WEIGHTS).filter(task=task)
    if found.is_empty():
        raise DataError(f"{path}: holds nothing about task {task!r}; delete it and run again")
    parts = found.partition_by("quantity", maintain_order=True)
    return {
        part["quantity"][0]: part["values"].explode().to_numpy().reshape(len(part), -1)
        for part in parts
    }


def _rows(task: str, quantity: str, grid: NDArray[np.float64]) -> pl.DataFrame:
    values = pl.DataFrame({"layer": np.arange(len(grid)), "values": grid})
    return values.with_columns(task=pl.lit(task), quantity=pl.lit(quantity))
