"""Locate every prompt of one shard of facts with one locator.

Settings: `LocateFacts`. Inputs: ``manifest``, ``prompts``. Output: ``located`` (see
`caploc.files.located`).
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from caploc import plugins
from caploc.files import store, tables
from caploc.files.located import LOCATED
from caploc.forward.processor import use_processor
from caploc.forward.samples import model_of
from caploc.forward.subject import sample_of
from caploc.jobs.job import Job
from caploc.jobs.progress import tracked
from caploc.models.language_model import LanguageModel
from caploc.records import Dropped
from caploc.settings import Count, Natural, Seed
from caploc.stages.settings import Place

__all__ = ["LocateFacts", "run"]

_LOG = logging.getLogger(__name__)
# Prompts located together: enough to group by length.
_GROUP = 64
_COLUMNS = (
    "fact_id", "subject", "object", "prompt_id", "kind", "rank", "prompt", "reason",
    "counterfactual",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LocateFacts(Place):
    """Locate the prompts of one shard of facts.

    Attributes:
        facts: id
        locator: a file in workflow/caploc/locators
        locate: settings of its function of this name
        choose: settings of its function `located`
        rewrites: most rewrites of each kind that are located
        prompts: prompts of a fact that are located whatever their kind
        shard: number, from 0
        shard_size: facts in a shard
        seed: of locators that draw
    """

    facts: str
    locator: str
    locate: dict[str, Any]
    choose: dict[str, Any]
    rewrites: Count
    prompts: Count
    shard: Natural
    shard_size: Count
    seed: Seed


def run(job: Job) -> None:
    """Load, locate group by group, write."""
    use_processor(job.threads)
    told = job.told(LocateFacts)
    lm = model_of(job.input("manifest"), job.spec)
    locator = plugins.load("locators", told.locator)
    everything = store.read_table(job.input("prompts"), _COLUMNS).to_pylist()
    # What a locator derives from the facts of the whole run must not depend on the shard.
    settings = _of_run(lm, locator, everything) | told.locate
    metadata: dict[str, Any] = {
        "origin": job.origin(),
        "unit": locator.UNIT,
        "per_layer": [],
        "dropped": [],
        "n_prompts": 0,
    }
    rows = list(_of_shard(everything, told))
    schema = tables.arrow(pl.DataFrame(schema=dict(LOCATED))).schema
    with store.table_writer(job.outputs["located"], schema, metadata) as writer:
        work = tracked(_results(lm, locator, rows, settings, told.seed), len(rows), told.locator)
        for row, result in work:
            if isinstance(result, Dropped):
                metadata["dropped"].append([row["fact_id"], row["prompt_id"], str(result)])
                continue
            metadata["n_prompts"] += 1
            metadata["per_layer"] = locator.per_layer(result)
            sets = locator.located(result, **told.choose)
            token_map = locator.token_map(result) if hasattr(locator, "token_map") else {}
            table = _table(row, sets, result.scores, token_map)
            writer.write_table(tables.arrow(table))
    _LOG.info(
        "%s, %s: %d prompts located, %d left out",
        told.model, told.locator, metadata["n_prompts"], len(metadata["dropped"]),
    )  # fmt: skip


def _of_run(lm: LanguageModel, locator: Any, rows: list[dict[str, Any]]) -> dict[str, Any]:
    if not hasattr(locator, "settings_of_run"):
        return {}
    found: dict[str, Any] = locator.settings_of_run(
        lm, [sample_of(row) for row in rows if row["prompt_id"] == 0]
    )
    return found


def _of_shard(rows: list[dict[str, Any]], told: LocateFacts) -> Iterator[dict[str, Any]]:
    """Prompts of the facts [shard * size, (shard + 1) * size) that are to be located."""
    order = {fact_id: i for i, fact_id in enumerate(dict.fromkeys(r["fact_id"] for r in rows))}
    for row in rows:
        wanted = row["prompt_id"] == 0 or row["rank"] < told.rewrites
        wanted = wanted or row["prompt_id"] < told.prompts
        if wanted and order[row["fact_id"]] // told.shard_size == told.shard:
            yield row


def _results(
    lm: LanguageModel, locator: Any, rows: list[dict[str, Any]], settings: dict[str, Any], seed: int
) -> Iterator[tuple[dict[str, Any], Any]]:
    for first in range(0, len(rows), _GROUP):
        group = rows[first : first + _GROUP]
        usable = [row for row in group if not row["reason"]]
        found = iter(locator.locate(lm, [sample_of(row) for row in usable], seed=seed, **settings))
        for row in group:
            yield row, Dropped(row["reason"]) if row["reason"] else next(found)


def _table(
    row: dict[str, Any], sets: dict[str, Any], scores: Any, token_map: dict[str, Any]
) -> pl.DataFrame:
    """One row a rule; scores and map stand with the first."""
    n = len(sets)
    once = token_map | {"scores": scores.reshape(-1).astype(np.float32)}
    columns = {
        "fact_id": [row["fact_id"]] * n,
        "prompt_id": [row["prompt_id"]] * n,
        "rule": list(sets),
        "units": [np.flatnonzero(grid).astype(np.int32) for grid in sets.values()],
    }
    for name in ("scores", "tokens", "subject", "effects"):
        first = pl.Series(once[name]) if name in once else None
        columns[name] = [first, *([None] * (n - 1))]
    return pl.DataFrame(columns, dict(LOCATED))
