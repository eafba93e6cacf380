"""The table `fidelity`: the parts of every model, set of facts and locator, and of the tasks."""

import pyarrow as pa

from caploc.experiments.fidelity.table import FIDELITY
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
    parts = [store.read_table(path, list(FIDELITY)) for path in job.inputs["parts"]]
    write(job, pa.concat_tables(parts))
