"""A table of which every job made a part: those of an experiment that it is named after."""

from importlib import import_module

from caploc.files import tables
from caploc.jobs.job import Job

__all__ = ["run"]


def run(job: Job) -> None:
    """Put the inputs ``parts`` together as ``csv`` and ``parquet``; the setting ``table`` names it.

    Raises:
        DataError: a damaged part, or one without a column.
    """
    table = job.spec["table"]
    schema = getattr(import_module(f"caploc.experiments.{table}.table"), table.upper())
    tables.write(tables.joined(job.inputs["parts"], schema), job.outputs, job.origin())
