"""The table `examples`: answers to the same questions before and after silencing.

Settings: `TabulateExamples`. Inputs: ``answers`` of every model, task and method, and the samples
``test`` of each, in the same order. Outputs: ``csv`` and ``parquet``.
"""

import polars as pl

from caploc.experiments.erasure.settings import TabulateExamples
from caploc.experiments.erasure.table import EXAMPLES
from caploc.files import store
from caploc.files.tables import gathered, read, write
from caploc.jobs.job import Job

__all__ = ["run"]


def run(job: Job) -> None:
    """The first questions of each split `test`, whatever was answered.

    Raises:
        DataError: a damaged file, or one without a column.
    """
    told = job.told(TabulateExamples)
    found = []
    for answers, test in zip(job.inputs["answers"], job.inputs["test"], strict=True):
        asked = store.read_metadata(answers)["origin"]["spec"]
        said = read(answers).filter(pl.col("shots") == pl.col("shots").min(), mode="all")
        of_mask = said.filter(pl.col("share").is_null(), mask=told.headline, arm="located")
        arms = {
            "unchanged": said.filter(arm="base"),
            "located": of_mask.filter(control=""),
            "random": of_mask.filter(control="matched", draw=0),
        }
        rows = read(test).select("sample_id", "prompt", "answer")
        for name, frame in arms.items():
            told_of_arm = frame.select("sample_id", pl.col("completion").alias(name))
            rows = rows.join(told_of_arm, "sample_id", "left", maintain_order="left")
        rows = rows.drop_nulls("unchanged").head(told.questions)
        ids = {"model": asked["model"], "dataset": asked["task"], "method": asked["method"]}
        named = {name: pl.lit(value) for name, value in (ids | {"mask": told.headline}).items()}
        found.append(rows.with_columns(**named))
    write(gathered(found, EXAMPLES), job.outputs, job.origin())
