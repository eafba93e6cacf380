"""Coincidence rates of one family of pairs on one model, with chance, curve and matched comparison.

Settings: `MeasureDecoupling`. Input: ``located`` (all shards). Output: ``part`` of the table
`decoupling`.

Pairs count as "known" if the model answers all four prompts. A pair with a prompt that was left out
or that locates nothing is in no number; it is counted.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc.experiments.decoupling._coincidence import NAMES, Units
from caploc.experiments.decoupling._rates import (
    located_rates,
    matched_effects,
    missing_rates,
    top_rates,
)
from caploc.experiments.decoupling.settings import MeasureDecoupling
from caploc.experiments.decoupling.table import DECOUPLING
from caploc.files import store, tables
from caploc.files.tables import COUNT, TEXT, Schema, texts
from caploc.jobs.job import Job
from caploc.measures.summaries import exact, named, not_computed, shares
from caploc.records import DataError

__all__ = ["run"]

_PROMPTS: Schema = {
    **texts("pair_id", "part", "form"), "correct": pl.Boolean(), "n_answer_tokens": COUNT,
    "units": pl.List(pl.Int32),
}  # fmt: skip


def run(job: Job) -> None:
    """Measure one family.

    Raises:
        DataError: a damaged file.
    """
    told, paths = job.told(MeasureDecoupling), job.inputs["located"]
    per_layer, dropped = _about(paths)
    prompts = pl.concat([tables.read(path, _PROMPTS) for path in paths])
    prompts = prompts.with_columns(name=pl.col("part") + pl.col("form"))
    empty = pl.col("units").list.len() == 0
    pairs = prompts.group_by("pair_id", maintain_order=True).agg(
        usable=(pl.len() == len(NAMES)) & ~empty.any(), known=pl.col("correct").all()
    )
    found = [*_counts(prompts, dropped)]
    found.append(exact(prompts.select(empty.sum()).item(), len(prompts), metric="empty_sets"))
    for group, chosen in (
        ("known", pairs.filter("usable", "known")), ("all", pairs.filter("usable")),
    ):  # fmt: skip
        rows = [*_rates(told, prompts, chosen.select("pair_id"), per_layer, paths)]
        rows.append(exact(len(chosen), len(pairs), metric="pairs"))
        found += [named(frame, pairs=group) for frame in rows]
    table = named(tables.gathered(found, DECOUPLING), model=told.model, dataset=told.pairs)
    role = pl.when(pairs="known").then("role").otherwise(pl.lit(""))
    tables.write_part(table.with_columns(role=role), job.outputs["part"], job.origin())


def _about(paths: Sequence[Path]) -> tuple[list[int], list[str]]:
    """Units in each layer, and the reason of every prompt that was left out."""
    metadata = {path: store.read_metadata(path) for path in paths}
    per_layer = metadata[paths[0]]["per_layer"]
    for path, about in metadata.items():
        if about["per_layer"] != per_layer:
            raise DataError(
                f"{path}: its grid differs from that of {paths[0]}; delete both and run again"
            )
    return per_layer, [reason for about in metadata.values() for *_, reason in about["dropped"]]


def _counts(prompts: pl.DataFrame, dropped: Sequence[str]) -> Iterator[pl.DataFrame]:
    """What was there, what is answered, what was left out."""
    answered = pl.DataFrame({"name": NAMES}).join(
        shares(prompts, ["name"], "correct"), on="name", how="left"
    )
    name = pl.col("name").str
    yield answered.select(
        pl.exclude("name", "interval", "n"),
        pl.col("interval").fill_null(not_computed(0, 1)),
        pl.col("n").fill_null(0),
        comparison=pl.format("part {}, form {}", name.head(1), name.tail(1)),
        metric=pl.lit("accuracy"),
    )
    several = int((prompts["n_answer_tokens"] > 1).sum())
    yield exact(several, len(prompts), metric="multi_token_answers")
    reasons = pl.Series("interval", dropped, dtype=TEXT).value_counts(name="value")
    yield named(reasons, metric="dropped", comparison="prompt")


def _rates(
    told: MeasureDecoupling, prompts: pl.DataFrame, chosen: pl.DataFrame, per_layer: list[int],
    paths: Sequence[Path],
) -> Iterator[pl.DataFrame]:  # fmt: skip
    """All rates of the chosen pairs."""
    rule = f"{told.ratio:g} x max"
    if len(chosen) < told.minimum:
        yield named(missing_rates(len(chosen), told.minimum), rule=rule)
        return
    located = chosen.join(prompts, on="pair_id", how="left", maintain_order="left")
    sets: dict[str, list[Units]] = {
        name: [units.to_numpy() for units in located.filter(name=name)["units"]] for name in NAMES
    }
    rows = (*located_rates(sets, per_layer, told), *matched_effects(sets, per_layer, told.seed))
    yield from (named(frame, rule=rule) for frame in rows)
    ids = set(chosen["pair_id"])
    for share in told.shares:
        for frame in top_rates(_scores(paths, ids), share, per_layer, told.seed):
            yield named(frame, rule=f"top {100 * share:g} %")


def _scores(
    paths: Sequence[Path], chosen: set[str]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """(unit,) scores of both parts of each chosen pair, first form, in the order of the files."""
    columns = ["pair_id", "part", "scores"]
    held: dict[str, dict[str, NDArray[np.float32]]] = {}
    for path in paths:
        for row in store.stream_rows(path, columns):
            pair, part, scores = row["pair_id"].as_py(), row["part"].as_py(), row["scores"]
            if scores.is_valid and pair in chosen:
                held.setdefault(pair, {})[part] = scores.values.to_numpy()
                if len(held[pair]) == 2:
                    parts = held.pop(pair)
                    yield parts["1"], parts["2"]
