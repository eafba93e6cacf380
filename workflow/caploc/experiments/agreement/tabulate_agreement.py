"""Parts of the table `agreement`, put together."""

import pyarrow as pa

from caploc.files import store
from caploc.files._old_tables import AGREEMENT, write
from caploc.jobs.job import Job

__all__ = ["run"]


def run(job: Job) -> None:
    """Concatenate and sort the parts.

    Args:
        job: inputs ``parts``; outputs ``csv`` and ``parquet``.

    Raises:
        DataError: a damaged part, or one without a column.
    """
    parts = [store.read_table(path, AGREEMENT.names) for path in job.inputs["parts"]]
    write(job, pa.concat_tables([AGREEMENT.empty_table(), *(p.cast(AGREEMENT) for p in parts)]))
