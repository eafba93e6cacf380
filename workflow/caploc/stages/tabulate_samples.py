"""How many samples every task kept, and how many were dropped for which reason.

Rows without a model count what preparing the data left out; rows with a model count what did not
suit that model (mostly: does not fit its context), once for all methods.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from caploc.files import store, tables
from caploc.files.base_tables import SAMPLES
from caploc.jobs.job import Job

__all__ = ["run"]

_DROPPED: tables.Schema = tables.texts("sample_id", "reason")


def run(job: Job) -> None:
    """List kept and dropped samples.

    Args:
        job: inputs ``samples`` (every split file) and ``shards`` (attribution files); outputs
            ``csv`` and ``parquet``.

    Raises:
        DataError: a damaged file.
    """
    found = [_prepared(path) for path in job.inputs["samples"]]
    found += _attributed(job.inputs["shards"])
    tables.write(tables.gathered(found, SAMPLES), job.outputs, job.origin())


def _prepared(path: Path) -> pl.DataFrame:
    metadata = store.read_metadata(path)
    origin, dropped = metadata["origin"], metadata["dropped"]
    suffix = ".shuffled" if origin["stage"] == "shuffle_answers" else ""
    return pl.DataFrame(
        {
            "dataset": origin["spec"]["task"] + suffix,
            "split": path.stem,
            "reason": ["", *dropped],
            "metric": ["kept", *["dropped"] * len(dropped)],
            "value": [metadata["n"], *dropped.values()],
        }
    )


def _attributed(paths: Sequence[Path]) -> list[pl.DataFrame]:
    """Kept and dropped over the shards of each model and task; `locate` is the split they use."""
    kept, lost = [], []
    for path in paths:
        metadata = store.read_metadata(path)
        spec = metadata["origin"]["spec"]
        ids = pl.DataFrame({"model": spec["model"], "dataset": spec["task"], "split": "locate"})
        kept.append(
            ids.with_columns(
                by=pl.lit(spec.get("method_id", "")), value=pl.lit(metadata["n_samples"])
            )
        )
        dropped = pl.DataFrame(metadata["dropped"], dict(_DROPPED), orient="row")
        lost.append(ids.join(dropped, how="cross"))
    if not kept:
        return []
    ids_of = ["model", "dataset", "split"]
    counts = pl.concat(kept).group_by([*ids_of, "by"]).agg(pl.col("value").sum())
    reasons = pl.concat(lost).unique().group_by([*ids_of, "reason"]).agg(value=pl.len())
    return [
        counts.group_by(ids_of).agg(pl.col("value").min()).with_columns(metric=pl.lit("kept")),
        reasons.with_columns(metric=pl.lit("dropped")),
    ]
