"""Run the circuit of each fact alone, and random connected circuits of equal size.

Settings: `ValidateCircuit`. Inputs: ``manifest``, ``prompts``, ``located`` (all shards of circuit).
Output: ``outcomes``, one row per fact, rule and circuit; facts the model does not know are left
out.
"""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from caploc.experiments.reliability._known_facts import known_facts, sample_of, with_sets
from caploc.experiments.reliability._random_edges import random_circuit
from caploc.experiments.reliability.settings import ValidateCircuit
from caploc.files import tables
from caploc.files.tables import COUNT, NUMBER, Schema, texts
from caploc.forward.processor import use_processor
from caploc.forward.samples import model_of
from caploc.jobs.job import Job
from caploc.jobs.progress import tracked
from caploc.locators import circuit
from caploc.models.language_model import LanguageModel
from caploc.records import Dropped

__all__ = ["OUTCOMES", "run"]

_LOG = logging.getLogger(__name__)
OUTCOMES: Schema = {
    **texts("fact_id", "rule", "control"),
    **dict.fromkeys(("draw", "n_units", "rank"), COUNT),
    "log_probability": NUMBER,
}
"""`control` is empty for the located circuit; `draw` counts random ones from 0, the last is spare;
`rank` is that of the first answer token, 1 if it is the most probable one."""


def run(job: Job) -> None:
    """Load, run every circuit alone, write."""
    use_processor(job.threads)
    told = job.told(ValidateCircuit)
    lm = model_of(job.input("manifest"), job.spec)
    known = known_facts(job.input("prompts"))
    rules = {f"{100 * share:g} % of edges" for share in told.shares}
    found = [item for item in with_sets(known, job.inputs["located"]) if item[1] in rules]
    empty = sum(not grid.any() for _, _, grid in found)
    parts = [
        _outcomes(lm, row, rule, grid, told)
        for row, rule, grid in tracked(found, len(found), "circuits: facts and rules")
    ]
    tables.write_part(
        tables.gathered(parts, OUTCOMES), job.outputs["outcomes"], job.origin(),
        n_known=len(known), empty=empty,
    )  # fmt: skip
    _LOG.info("%d circuits run alone, %d of them empty", len(found), empty)


def _outcomes(
    lm: LanguageModel, row: Mapping[str, Any], rule: str, located: Any, told: ValidateCircuit
) -> pl.DataFrame:
    """A row for the located circuit of a fact, then for each random one; none if it is dropped."""
    graph, sample = circuit.graph_of(lm), sample_of(row)
    named = [("", 0, located)]
    for r in range(told.draws + 1):
        rng = np.random.default_rng([told.seed, r, *f"{rule} {row['fact_id']}".encode()])
        named.append(("connected", r, random_circuit(graph, int(located.sum()), rng)))
    found: list[tuple[str, int, int, int, float]] = []
    for control, r, edges in named:
        (alone,) = circuit.run(lm, [sample], edges, ablation=told.ablation)
        if isinstance(alone, Dropped):
            break
        found.append((control, r, int(edges.sum()), alone.rank, alone.log_probability))
    columns = [name for name in OUTCOMES if name not in ("fact_id", "rule")]
    return pl.DataFrame(
        found, {name: OUTCOMES[name] for name in columns}, orient="row"
    ).with_columns(fact_id=pl.lit(row["fact_id"]), rule=pl.lit(rule))
