"""The table `decoupling`: the parts of every model and family of pairs."""

from caploc.experiments.decoupling.table import DECOUPLING
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
    found = tables.joined(job.inputs["parts"], DECOUPLING)
    tables.write(found, job.outputs, job.origin())
