"""The table `fidelity`: the parts of every model, set of facts and locator, and of the tasks."""

from caploc.experiments.fidelity.table import FIDELITY
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
    found = tables.joined(job.inputs["parts"], FIDELITY)
    tables.write(found, job.outputs, job.origin())
