"""Parts of the table `agreement`, put together."""

from caploc.experiments.agreement.table import AGREEMENT
from caploc.files.tables import gathered, read, write
from caploc.jobs.job import Job

__all__ = ["run"]


def run(job: Job) -> None:
    """Concatenate and sort the parts.

    Args:
        job: inputs ``parts``; outputs ``csv`` and ``parquet``.

    Raises:
        DataError: a damaged part, or one without a column.
    """
    parts = [read(path, AGREEMENT) for path in job.inputs["parts"]]
    write(gathered(parts, AGREEMENT), job.outputs, job.origin())
