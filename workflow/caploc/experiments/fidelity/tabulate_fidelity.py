"""The table `fidelity`: the parts of every model, set of facts and locator, and of the tasks."""

from caploc.experiments.fidelity.table import FIDELITY
from caploc.files import tables
from caploc.jobs.job import Job

__all__ = ["run"]


def run(job: Job) -> None:
    """Put the inputs ``parts`` together as ``csv`` and ``parquet``.

    Raises:
        DataError: a damaged part.
    """
    tables.write(tables.joined(job.inputs["parts"], FIDELITY), job.outputs, job.origin())
