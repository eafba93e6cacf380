"""Knowledge neurons of every prompt of one shard of paired samples, and whether it is answered.

Settings: `LocatePairs`. Inputs: ``manifest``, ``samples``. Output: ``located``, one row a prompt;
scores are kept of form 0 alone, from which sets of any size are taken.
"""

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from caploc.experiments.decoupling.prepare_pairs import PAIRS
from caploc.experiments.decoupling.settings import LocatePairs
from caploc.files import store, tables
from caploc.files.tables import COUNT, Schema, texts
from caploc.forward.processor import use_processor
from caploc.forward.recall import Recall, recall
from caploc.forward.samples import model_of
from caploc.jobs.job import Job
from caploc.jobs.progress import tracked
from caploc.locators import kn
from caploc.models.language_model import LanguageModel
from caploc.records import Dropped, Sample

__all__ = ["LOCATED_PAIRS", "run"]

_LOG = logging.getLogger(__name__)
# Prompts located together: enough to group by length.
_GROUP = 64
LOCATED_PAIRS: Schema = {
    **texts("pair_id", "part", "form"), "correct": pl.Boolean(), "n_answer_tokens": COUNT,
    "units": pl.List(pl.Int32), "scores": pl.List(pl.Float32),
}  # fmt: skip


def run(job: Job) -> None:
    """Load, locate group by group, write."""
    use_processor(job.threads)
    told = job.told(LocatePairs)
    lm = model_of(job.input("manifest"), job.spec)
    everything = tables.read(job.input("samples"), PAIRS).to_dicts()
    order = {name: i for i, name in enumerate(dict.fromkeys(r["pair_id"] for r in everything))}
    rows = [r for r in everything if order[r["pair_id"]] // told.shard_size == told.shard]
    metadata: dict[str, Any] = {
        "origin": job.origin(),
        "per_layer": [lm.n_neurons] * lm.n_layers,
        "dropped": [],
    }
    schema = _table([]).schema
    with store.table_writer(
        job.outputs["located"], schema, metadata, ["scores.list.element"]
    ) as writer:
        work = tracked(_located(lm, rows, told), len(rows), f"{told.pairs}: prompts")
        for row, found in work:
            if isinstance(found, Dropped):
                metadata["dropped"].append([row["pair_id"], row["part"], row["form"], str(found)])
            else:
                writer.write_table(_table([found]))
    _LOG.info("%s: %d prompts, %d left out", told.pairs, len(rows), len(metadata["dropped"]))


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    return tables.arrow(pl.DataFrame(rows, dict(LOCATED_PAIRS)))


def _located(
    lm: LanguageModel, rows: list[dict[str, Any]], told: LocatePairs
) -> Iterator[tuple[dict[str, Any], dict[str, Any] | Dropped]]:
    settings = dict(told.kn)
    ratio = settings.pop("ratio")
    for first in range(0, len(rows), _GROUP):
        group = rows[first : first + _GROUP]
        samples = [
            Sample(f"{r['pair_id']}/{r['part']}{r['form']}", r["prompt"], r["answer"])
            for r in group
        ]
        known = recall(lm, [s.prompt for s in samples], [s.answer for s in samples])
        scored = kn.locate(lm, samples, seed=told.seed, **settings)
        for row, answer, result in zip(group, known, scored, strict=True):
            if isinstance(result, Dropped):
                yield row, result
                continue
            scores = result.scores.reshape(-1).astype(np.float32)
            yield (
                row,
                {key: row[key] for key in ("pair_id", "part", "form")}
                | {
                    "correct": isinstance(answer, Recall) and answer.correct,
                    "n_answer_tokens": result.n_answer_tokens,
                    "units": np.flatnonzero(kn.select(result.scores, ratio)).astype(np.int32),
                    "scores": scores if row["form"] == "0" else None,
                },
            )
