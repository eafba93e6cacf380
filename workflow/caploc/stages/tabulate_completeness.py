"""How well the scores of each layer add up to the effect of silencing it: the integration error."""

from caploc.files import store
from caploc.files._old_tables import COMPLETENESS, rows, write
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
        ids = {"model": spec["model"], "dataset": spec["task"], "method": spec["method"]}
        found += [
            ids | {"layer": layer, "metric": metric, "value": value, "n": metadata["n_samples"]}
            for metric in METRICS
            for layer, value in enumerate(figures.get(metric, []))
        ]
    write(job, rows(found, COMPLETENESS))
