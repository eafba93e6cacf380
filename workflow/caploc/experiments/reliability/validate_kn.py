"""Suppress and enhance the knowledge neurons of each fact, and random sets of equal size.

Settings: ``model``, ``family``, ``dtype``, ``device``; ``facts`` (id), ``draws`` (R; one more is
drawn for the null row), ``seed``. Inputs: ``manifest``, ``prompts``, ``located`` (all shards of
kn). Output: ``outcomes``, one row per fact and set; facts the model does not know are left out.
"""

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from caploc.experiments.reliability._answer_scaling import answer_probability
from caploc.experiments.reliability._known_facts import known_facts, sample_of, with_sets
from caploc.files import store
from caploc.forward.processor import use_processor
from caploc.forward.samples import model_of
from caploc.jobs.job import Job
from caploc.jobs.progress import tracked
from caploc.measures.random_sets import Control, draw
from caploc.models.language_model import LanguageModel
from caploc.models.tokens import encode

__all__ = ["OUTCOMES", "run"]

_LOG = logging.getLogger(__name__)
OUTCOMES = pa.schema(
    [
        *((name, pa.string()) for name in ("fact_id", "rule", "control")),
        ("draw", pa.int32()),
        ("n_units", pa.int32()),
        *((name, pa.float64()) for name in ("probability", "suppressed", "enhanced")),
    ]
)
"""`control` is empty for the located set; `draw` counts random sets from 0, the last is spare."""
_CONTROLS: tuple[Control, ...] = ("uniform", "layer")


def run(job: Job) -> None:
    """Load, act on every fact, write."""
    use_processor(job.threads)
    spec = job.spec
    lm = model_of(job.input("manifest"), spec)
    known = known_facts(job.input("prompts"))
    found = list(with_sets(known, job.inputs["located"]))
    empty = sum(not grid.any() for _, _, grid in found)
    rows: list[dict[str, Any]] = []
    for row, rule, grid in tracked(found, len(found), "knowledge neurons: facts"):
        if grid.any():
            rows += _outcomes(lm, row, rule, grid.reshape(lm.n_layers, lm.n_neurons), spec)
    metadata = {"origin": job.origin(), "n_known": len(known), "empty": empty}
    store.write_table(pa.Table.from_pylist(rows, OUTCOMES), job.outputs["outcomes"], metadata)
    _LOG.info("%d facts acted on, %d locate nothing", len(found) - empty, empty)


def _outcomes(
    lm: LanguageModel, row: dict[str, Any], rule: str, located: Any, spec: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    sample = sample_of(row)
    prompt, answer = encode(lm.tokenizer, sample.prompt, sample.answer, context=lm.context)
    named: list[tuple[str, int, Any]] = [("", 0, located)]
    for control in _CONTROLS:
        for r in range(spec["draws"] + 1):
            seed = [spec["seed"], r, *f"{control} {row['fact_id']}".encode()]
            chosen = draw(located, control, int(np.random.default_rng(seed).integers(2**31)))
            named.append((control, r, chosen))
    sets = np.stack([grid for _, _, grid in named])
    probability = answer_probability(lm, prompt, answer, np.zeros_like(sets[:1]), 1.0)[0]
    suppressed = answer_probability(lm, prompt, answer, sets, 0.0)
    enhanced = answer_probability(lm, prompt, answer, sets, 2.0)
    for i, (name, r, grid) in enumerate(named):
        yield {
            "fact_id": row["fact_id"], "rule": rule, "control": name, "draw": r,
            "n_units": int(grid.sum()), "probability": probability,
            "suppressed": suppressed[i], "enhanced": enhanced[i],
        }  # fmt: skip
