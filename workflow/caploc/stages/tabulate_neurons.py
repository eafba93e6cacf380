"""The located neurons of every task, and which other tasks located them too."""

import polars as pl

from caploc.files import store, tables
from caploc.files.base_tables import NEURONS
from caploc.jobs.job import Job

__all__ = ["run"]

_LOCATED: tables.Schema = {
    "layer": tables.LAYER, "neuron": tables.COUNT, "score": tables.NUMBER, "z": tables.NUMBER,
}  # fmt: skip
_PLACE = ["model", "method", "mask", "layer", "neuron"]


def run(job: Job) -> None:
    """List every located neuron with its score and z.

    Args:
        job: inputs ``masks`` of all models, tasks, methods and mask rules; outputs ``csv`` and
            ``parquet``. Masks that were not computed have no rows.

    Raises:
        DataError: a damaged mask.
    """
    found = []
    for path in job.inputs["masks"]:
        metadata = store.read_metadata(path)
        if "not_computed" not in metadata:
            spec = metadata["origin"]["spec"]
            ids = {name: pl.lit(spec[name]) for name in ("model", "method", "mask")}
            ids |= {"dataset": pl.lit(spec["task"]), "sigma": pl.lit(metadata["sigma"])}
            found.append(tables.read(path, _LOCATED).with_columns(**ids))
    if found:
        found = [
            _with_sharers(pl.concat(found))
            .unpivot(["score", "z"], index=[*_PLACE, "dataset", "sigma", "shared_by"],
                     variable_name="metric")
        ]  # fmt: skip
    tables.write(tables.gathered(found, NEURONS), job.outputs, job.origin())


def _with_sharers(located: pl.DataFrame) -> pl.DataFrame:
    """Ids of the other tasks of each neuron, joined with ";" in the order given."""
    tasks = pl.Enum(located["dataset"].unique(maintain_order=True))
    owners = located.group_by(_PLACE).agg(owners=pl.col("dataset").cast(tasks).sort())
    # There are few different sets of tasks, so their names are joined once for each set.
    texts = (
        located.select(*_PLACE, "dataset")
        .join(owners, on=_PLACE)
        .select("owners", "dataset")
        .unique()
        .with_columns(owner=pl.col("owners"))
        .explode("owner")
        .group_by("owners", "dataset", maintain_order=True)
        .agg(
            shared_by=pl.col("owner").filter(
                pl.col("owner").cast(pl.String) != pl.col("dataset").first()
            )
        )
        .with_columns(pl.col("shared_by").cast(pl.List(pl.String)).list.join(";"))
    )
    return located.join(owners, on=_PLACE).join(texts, on=["owners", "dataset"])
