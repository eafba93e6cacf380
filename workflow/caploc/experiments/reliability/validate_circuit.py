"""Run the circuit of each fact alone, and random connected circuits of equal size.

Settings: ``model``, ``family``, ``dtype``, ``device``; ``facts`` (id), ``draws`` (R; one more is
drawn for the null row), ``ablation`` (what cut edges carry), ``shares``
(of edges: which rules), ``seed``. Inputs: ``manifest``,
``prompts``, ``located`` (all shards of circuit). Output: ``outcomes``, one row per fact, rule and
circuit; facts the model does not know are left out.
"""

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from caploc.experiments.reliability._known_facts import known_facts, sample_of, with_sets
from caploc.files import store
from caploc.forward.processor import use_processor
from caploc.forward.samples import model_of
from caploc.jobs.job import Job
from caploc.jobs.progress import tracked
from caploc.locators import circuit
from caploc.locators.circuit import random_circuit
from caploc.models.language_model import LanguageModel
from caploc.records import Dropped

__all__ = ["OUTCOMES", "run"]

_LOG = logging.getLogger(__name__)
OUTCOMES = pa.schema(
    [
        *((name, pa.string()) for name in ("fact_id", "rule", "control")),
        *((name, pa.int32()) for name in ("draw", "n_units", "rank")),
        ("log_probability", pa.float64()),
    ]
)
"""`control` is empty for the located circuit; `draw` counts random ones from 0, the last is spare;
`rank` is that of the first answer token, 1 if it is the most probable one."""


def run(job: Job) -> None:
    """Load, run every circuit alone, write."""
    use_processor(job.threads)
    spec = job.spec
    lm = model_of(job.input("manifest"), spec)
    known = known_facts(job.input("prompts"))
    rules = {f"{100 * share:g} % of edges" for share in spec["shares"]}
    found = [item for item in with_sets(known, job.inputs["located"]) if item[1] in rules]
    empty = sum(not grid.any() for _, _, grid in found)
    rows: list[dict[str, Any]] = []
    for row, rule, grid in tracked(found, len(found), "circuits: facts and rules"):
        rows += _outcomes(lm, row, rule, grid, spec)
    metadata = {"origin": job.origin(), "n_known": len(known), "empty": empty}
    store.write_table(pa.Table.from_pylist(rows, OUTCOMES), job.outputs["outcomes"], metadata)
    _LOG.info("%d circuits run alone, %d of them empty", len(found), empty)


def _outcomes(
    lm: LanguageModel, row: dict[str, Any], rule: str, located: Any, spec: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    graph = circuit.graph_of(lm)
    named = [("", 0, located)]
    for r in range(spec["draws"] + 1):
        rng = np.random.default_rng([spec["seed"], r, *f"{rule} {row['fact_id']}".encode()])
        named.append(("connected", r, random_circuit(graph, int(located.sum()), rng)))
    for control, r, edges in named:
        (alone,) = circuit.run(lm, [sample_of(row)], edges, ablation=spec["ablation"])
        if isinstance(alone, Dropped):
            return
        yield {
            "fact_id": row["fact_id"], "rule": rule, "control": control, "draw": r,
            "n_units": int(edges.sum()), "rank": alone.rank,
            "log_probability": alone.log_probability,
        }  # fmt: skip
