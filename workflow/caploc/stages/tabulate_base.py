"""Exact match of the unchanged model on every task, with Wilson intervals."""

import pyarrow.compute as pc

from caploc.files import store
from caploc.files._old_tables import BASE, rows, write
from caploc.jobs.job import Job
from caploc.measures.statistics import wilson

__all__ = ["run"]


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
        correct = store.read_table(path, ["sample_id", "correct"])["correct"]
        n, n_correct = len(correct), pc.sum(correct).as_py() or 0
        row = {"model": spec["model"], "dataset": spec["task"], "split": spec.get("split", "test")}
        row |= {"metric": "exact_match", "interval": "Wilson 95 %", "n": n}
        if n:
            share = wilson(n_correct, n)
            row |= {"value": share.value, "ci_low": share.low, "ci_high": share.high}
        found.append(row)
    write(job, rows(found, BASE))
