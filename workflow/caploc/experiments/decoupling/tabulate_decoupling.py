"""The table `decoupling`: the parts of every model and family of pairs."""

import pyarrow as pa

from caploc.experiments.decoupling.table import DECOUPLING
from caploc.files import store
from caploc.files._old_tables import write
from caploc.jobs.job import Job

__all__ = ["run"]


def run(job: Job) -> None:
    """Put the parts together.

    Args:
        job: inputs ``parts``; outputs ``csv`` and ``parquet``.

    Raises:
        DataError: a damaged part.
    """
    parts = [store.read_table(path, list(DECOUPLING)) for path in job.inputs["parts"]]
    write(job, pa.concat_tables(parts))
