"""The table `reliability`: the parts of every model and set of facts."""

import pyarrow as pa

from caploc.experiments.reliability.table import RELIABILITY
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
    parts = [store.read_table(path, list(RELIABILITY)) for path in job.inputs["parts"]]
    write(job, pa.concat_tables(parts))
