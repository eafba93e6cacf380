"""Exact match of the unchanged model on every task, with Wilson intervals."""

import polars as pl

from caploc.files import store, tables
from caploc.files.base_tables import BASE
from caploc.jobs.job import Job
from caploc.measures.summaries import WILSON, shares

__all__ = ["run"]

_ANSWERS: tables.Schema = {"correct": pl.Boolean}


def run(job: Job) -> None:
    """Count the correct answers.

    Args:
        job: inputs ``answers`` of all models and tasks (column correct); outputs ``csv`` and
            ``parquet``. A task without answers has a row without a value and n = 0.

    Raises:
        DataError: a damaged file, or one without the column.
    """
    found = []
    for path in job.inputs["answers"]:
        spec = store.read_metadata(path)["origin"]["spec"]
        ids = pl.DataFrame(
            {
                "model": spec["model"], "dataset": spec["task"],
                "split": spec.get("split", "test"), "metric": "exact_match",
            }
        )  # fmt: skip
        answers = ids.join(tables.read(path, _ANSWERS), how="cross")
        if answers.is_empty():
            found.append(ids.with_columns(interval=pl.lit(WILSON), n=pl.lit(0)))
        found.append(shares(answers, ids.columns, "correct"))
    tables.write(tables.gathered(found, BASE), job.outputs, job.origin())
