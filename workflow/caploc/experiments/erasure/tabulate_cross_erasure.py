"""The table `cross_erasure`: neurons of one data set silenced, another one answered."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from caploc.experiments.erasure import _crossed
from caploc.experiments.erasure.settings import TabulateCrossErasure
from caploc.experiments.erasure.table import CROSS_ERASURE
from caploc.files import store
from caploc.files.tables import gathered, read, write
from caploc.jobs.job import Job
from caploc.measures.summaries import exact, missing, with_holm
from caploc.samples.capabilities import capabilities

__all__ = ["run"]

PRIMARY = ("equal", "logprob")
"""Sets and effect of the primary test, one of each model and method."""


def run(job: Job) -> None:
    """Cells with intervals, and the contrast of same against other capability.

    Args:
        job: input ``likelihood``, one for every model, method and task; outputs ``csv`` and
            ``parquet``.

    Raises:
        DataError: a damaged file, or one without a column.
    """
    told = job.told(TabulateCrossErasure)
    groups: dict[tuple[str, str], list[Path]] = {}
    for path in job.inputs["likelihood"]:
        asked = store.read_metadata(path)["origin"]["spec"]
        groups.setdefault((asked["model"], asked["method"]), []).append(path)
    types = capabilities(told.tasks)
    found = [
        gathered(_rows(paths, types, told), CROSS_ERASURE).with_columns(
            model=pl.lit(model), method=pl.lit(method)
        )
        for (model, method), paths in groups.items()
    ]
    same = {"mask": pl.lit(told.mask), "sigma": pl.lit(told.sigma, pl.Float64)}
    table = gathered(found, CROSS_ERASURE).with_columns(**same)
    write(with_holm(table), job.outputs, job.origin())


def _rows(
    paths: list[Path], types: Mapping[str, str], told: TabulateCrossErasure
) -> list[pl.DataFrame]:
    found, scored = [], []
    metadata: dict[str, Any] = {}
    for path in paths:
        metadata = store.read_metadata(path)
        table, target = read(path), metadata["origin"]["spec"]["task"]
        n = table["sample_id"].n_unique()
        if n < told.minimum_samples:
            shown = f"n = {n}, needs {told.minimum_samples}"
            found.append(missing(shown, target=target, metric="logprob_excess"))
            continue
        scored.append(_crossed.falls(table, metadata["chance"]).with_columns(target=pl.lit(target)))
        found.append(exact(metadata["chance"], n, target=target, metric="chance"))
    # The sets are those of every target.
    found.append(exact(metadata["n_common"], 1, metric="n_common"))
    found += [
        missing(reason, source=source, metric="logprob_excess")
        for source, reason in metadata["not_computed"].items()
    ]
    found += [
        exact(n, 1, sets=kind, source=source, metric="n_neurons")
        for kind, sizes in metadata["sizes"].items()
        for source, n in sizes.items()
    ]
    if not scored:
        return found
    falls = pl.concat(scored)
    for kind in metadata["sizes"]:
        for effect in ("logprob", "relative"):
            found += [
                rows.with_columns(sets=pl.lit(kind))
                for rows in (
                    *_crossed.cells(falls, kind, effect, told.seed),
                    *_crossed.own_damage(falls, kind, effect, told.seed, (kind, effect) == PRIMARY),
                    *_crossed.contrasts(falls, kind, effect, types, told.seed),
                )
            ]
    return [*found, *_crossed.unchanged(falls, told.seed)]
