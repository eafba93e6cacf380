"""Parts of the table `agreement`, put together."""

import pyarrow as pa

from caploc import store
from caploc.provenance import Job
from caploc.stages._tables import AGREEMENT, write

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
