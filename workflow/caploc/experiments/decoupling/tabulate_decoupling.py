"""The table `decoupling`: the parts of every model and family of pairs."""

from caploc.experiments.decoupling.table import DECOUPLING
from caploc.files import tables
from caploc.jobs.job import Job

__all__ = ["run"]


def run(job: Job) -> None:
    """Put the inputs ``parts`` together as ``csv`` and ``parquet``.

    Raises:
        DataError: a damaged part.
    """
    tables.write(tables.joined(job.inputs["parts"], DECOUPLING), job.outputs, job.origin())
