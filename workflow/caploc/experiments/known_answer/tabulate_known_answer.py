"""The table `known_answer`: every planted model and capability, and means over them.

Settings: none. Inputs: ``parts``. Outputs: ``csv`` and ``parquet``. Rows without a seed are means
over the seeds of a plant and capability, rows without a capability too means over all that passed
the surgery check; intervals are the range.
"""

import polars as pl

from caploc.experiments.known_answer.table import KNOWN_ANSWER
from caploc.files import tables
from caploc.jobs.job import Job
from caploc.measures.summaries import ranged

__all__ = ["run", "with_means"]

_NAMED = ("locator", "truth", "n_samples", "sigma", "rule", "set", "metric")


def run(job: Job) -> None:
    """Put the parts together and average.

    Args:
        job: inputs ``parts``; outputs ``csv`` and ``parquet``.

    Raises:
        DataError: a damaged part.
    """
    found = tables.joined(job.inputs["parts"], KNOWN_ANSWER)
    tables.write(with_means(found), job.outputs, job.origin())


def with_means(found: pl.DataFrame) -> pl.DataFrame:
    """Rows of all plants, and means over those that passed the surgery check."""
    usable = found.filter(pl.col("metric") == "usable", pl.col("value") != 0)
    numbers = found.join(usable, on=["plant", "seed", "dataset"], how="semi").filter(
        ~pl.col("metric").is_in(["usable", "effective"]), pl.col("value").is_not_null()
    )
    over_seeds = ranged(numbers, ["plant", "dataset", *_NAMED], "value").with_columns(
        interval=pl.lit("range over seeds")
    )
    ranked = numbers.filter(pl.col("locator") != "")
    over_all = ranged(ranked, _NAMED, "value").with_columns(
        interval=pl.lit("range over plants, seeds and capabilities")
    )
    return tables.gathered([found, over_seeds, over_all], KNOWN_ANSWER)
