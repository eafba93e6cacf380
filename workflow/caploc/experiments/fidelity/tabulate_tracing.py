"""The table `tracing`: maps of causal tracing, averaged over facts and of a few single facts.

Rows without a fact are means over facts by the role of the token (`ROLES`): first the mean over the
tokens of that role in a fact, then over facts. Tokens before the subject have the effect 0 by
construction and no role. Rows with a fact hold the map of its original prompt as it is.

Settings: `TabulateTracing`. Inputs: ``prompts`` and ``located`` of all models and sets of facts.
Outputs: ``csv`` and ``parquet``.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import polars as pl

from caploc.experiments.fidelity._means import averaged
from caploc.experiments.fidelity.settings import TabulateTracing
from caploc.experiments.fidelity.table import ROLES, TRACING
from caploc.files import store, tables
from caploc.files.located import TokenMap, stream_maps
from caploc.files.tables import TEXT, Schema
from caploc.jobs.job import Job
from caploc.measures.summaries import named

__all__ = ["ROLES", "STATES", "role_of", "run"]

STATES = ("residual", "ffn", "attention")
"""What is restored, in the order of the maps (`caploc.locators.rome.KINDS`)."""
_PROMPTS: Schema = {"fact_id": TEXT, "prompt_id": pl.Int16(), "correct": pl.Boolean()}


def run(job: Job) -> None:
    """Average the maps of every model and set of facts.

    Raises:
        DataError: a damaged file.
    """
    told = job.told(TabulateTracing)
    asked = {_named(path): tables.read(path, _PROMPTS) for path in job.inputs.get("prompts", [])}
    parts: list[pl.DataFrame] = []
    for (model, facts), paths in groupby(job.inputs.get("located", []), _named):
        known = asked[model, facts].filter("correct", prompt_id=0)["fact_id"]
        maps = [one for one in stream_maps(list(paths)) if one.prompt_id == 0]
        parts += [named(part, model=model, dataset=facts) for part in _rows(told, maps, known)]
    table = named(tables.gathered(parts, TRACING), metric="indirect_effect")
    tables.write(table, job.outputs, job.origin())


def _named(path: Path) -> tuple[str, str]:
    spec = store.read_metadata(path)["origin"]["spec"]
    return spec["model"], spec["facts"]


def _rows(
    told: TabulateTracing, maps: Sequence[TokenMap], known: pl.Series
) -> Iterator[pl.DataFrame]:
    """Means over the known and over all facts, and the maps of the first few facts."""
    if not maps:
        return
    cells = pl.concat([_cells(one) for one in maps])
    by = ["position", "state", "layer"]
    of_facts = (
        cells.filter(pl.col("position") != "")
        .group_by("fact", *by, maintain_order=True)
        .agg(pl.col("value").mean())
    )
    groups = {"known": pl.col("fact").is_in(known), "all": pl.lit(True)}
    for group, chosen in groups.items():
        means = averaged(of_facts.filter(chosen), by, told)
        yield named(means, facts=group)
    # A fact that the model does not know has nothing to bring back.
    answered = cells.filter(groups["known"])
    group, cells = ("all", cells) if answered.is_empty() else ("known", answered)
    shown = cells["fact"].unique(maintain_order=True).head(told.shown)
    yield named(cells.filter(pl.col("fact").is_in(shown)), facts=group, n=1)


def _cells(found: TokenMap) -> pl.DataFrame:
    """Effect of each state, traced token and layer, one row each."""
    state, token, layer = np.indices(found.effects.shape).reshape(3, -1)
    roles = pl.Series([role_of(found, i) for i in range(len(found.tokens))])
    columns = {
        "state": pl.Series(STATES)[state], "position": roles[token], "token": token,
        "text": pl.Series(found.tokens)[token], "layer": layer,
        "value": found.effects.ravel().astype(np.float64),
    }  # fmt: skip
    return named(pl.DataFrame(columns).drop_nans("value"), fact=found.fact_id)


def role_of(found: TokenMap, token: int) -> str:
    """Role of a token; a subject of one token has a last one only, empty before the subject."""
    first, last = found.subject
    if token < first:
        return ""
    if token == last:
        return "last subject token"
    if token == first:
        return "first subject token"
    if token < last:
        return "middle subject tokens"
    return "last token" if token == len(found.tokens) - 1 else "further tokens"
