"""How well the scores of each layer add up to the effect of silencing it: the integration error."""

import polars as pl

from caploc.files import store, tables
from caploc.files.base_tables import COMPLETENESS
from caploc.files.shards import COMPLETENESS as METRICS
from caploc.jobs.job import Job

__all__ = ["run"]


def run(job: Job) -> None:
    """List the completeness figures of every scores file that has them.

    Args:
        job: inputs ``scores``; outputs ``csv`` and ``parquet``. Tasks without samples, and the
            mixture, have no rows.

    Raises:
        DataError: a damaged file.
    """
    found = []
    for path in job.inputs["scores"]:
        metadata = store.read_metadata(path)
        spec, figures = metadata["origin"]["spec"], metadata["completeness"] or {}
        found += [
            pl.DataFrame({"value": figures[metric]})
            .with_row_index("layer")
            .with_columns(
                model=pl.lit(spec["model"]), dataset=pl.lit(spec["task"]),
                method=pl.lit(spec["method"]), metric=pl.lit(metric),
                n=pl.lit(metadata["n_samples"]),
            )
            for metric in METRICS
            if metric in figures
        ]  # fmt: skip
    tables.write(tables.gathered(found, COMPLETENESS), job.outputs, job.origin())
