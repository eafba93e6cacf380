"""The table `erasure`: what is left of every task, beside the random controls."""

from collections.abc import Iterator
from typing import Any

import polars as pl

from caploc.experiments.erasure import _estimates
from caploc.experiments.erasure.settings import TabulateErasure
from caploc.experiments.erasure.table import ERASURE
from caploc.files import store
from caploc.files.tables import gathered, read, write
from caploc.jobs.job import Job
from caploc.measures.summaries import missing, with_holm

__all__ = ["run"]


def run(job: Job) -> None:
    """Intervals, tests and averages over the tasks.

    Args:
        job: inputs ``likelihood``, ``answers`` and ``sets``, one of each for every model, task and
            method, in the same order; outputs ``csv`` and ``parquet``.

    Raises:
        DataError: a damaged file, or one without a column.
    """
    told = job.told(TabulateErasure)
    found, accuracy = [], []
    files = (job.inputs[name] for name in ("likelihood", "answers", "sets"))
    for likelihood, answers, sets in zip(*files, strict=True):
        metadata = store.read_metadata(likelihood)
        asked = metadata["origin"]["spec"]
        ids = {name: pl.lit(asked[key]) for name, key in
               (("model", "model"), ("dataset", "task"), ("method", "method"))}  # fmt: skip
        scored, generated = read(likelihood), read(answers)
        n = scored["sample_id"].n_unique()
        parts = [*_without(metadata, n, told)]
        if n >= told.minimum_samples:
            right = _estimates.accuracies(generated)
            accuracy.append(right.with_columns(**ids))
            parts += _estimates.likelihood(scored, told.headline, told.seed)
            parts += _estimates.told(generated, right, told.seed)
            parts += _estimates.sizes(read(sets))
        found.append(gathered(parts, ERASURE).with_columns(**ids))
    if accuracy:
        found += _estimates.averages(pl.concat(accuracy), told.seed)
    sigma = pl.col("mask").replace_strict(told.sigmas, default=None, return_dtype=pl.Float64)
    table = with_holm(gathered(found, ERASURE), "secondary").with_columns(sigma=sigma)
    write(table, job.outputs, job.origin())


def _without(metadata: dict[str, Any], n: int, told: TabulateErasure) -> Iterator[pl.DataFrame]:
    """Masks that were not computed, and sets that have no random ones beside them."""
    reasons = dict(metadata["not_computed"])
    if n < told.minimum_samples:
        shown = f"n = {n}, needs {told.minimum_samples}"
        reasons = {mask: reasons.get(mask, shown) for mask in told.sigmas}
    for mask, reason in reasons.items():
        yield missing(reason, metric="logprob_fall", mask=mask, arm="located", mode="all")
    for one in metadata["without_control"]:
        named = {name: one[name] for name in ("mask", "arm", "mode", "share", "control")}
        yield missing(one["reason"], metric="logprob_excess", **named)
