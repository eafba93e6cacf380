"""The table `reliability`: the parts of every model and set of facts."""

import pyarrow as pa

from caploc import store
from caploc.provenance import Job
from caploc.stages._reliability_table import RELIABILITY
from caploc.stages._tables import write

__all__ = ["run"]


def run(job: Job) -> None:
    """Put the parts together.

    Args:
        job: inputs ``parts``; outputs ``csv`` and ``parquet``.

    Raises:
        DataError: a damaged part.
    """
    parts = [store.read_table(path, RELIABILITY.names) for path in job.inputs["parts"]]
    write(job, pa.concat_tables(parts))
