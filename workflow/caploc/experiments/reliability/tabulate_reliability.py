"""The table `reliability`: the parts of every model and set of facts."""

from caploc.experiments.reliability.table import RELIABILITY
from caploc.files import tables
from caploc.jobs.job import Job

__all__ = ["run"]


def run(job: Job) -> None:
    """Put the parts together.

    Args:
        job: inputs ``parts``; outputs ``csv`` and ``parquet``.

    Raises:
        DataError: a damaged part.
    """
    found = tables.joined(job.inputs["parts"], RELIABILITY)
    tables.write(found, job.outputs, job.origin())
