"""Suppress and enhance the knowledge neurons of each fact, and random sets of equal size.

Settings: `ValidateKn`. Inputs: ``manifest``, ``prompts``, ``located`` (all shards of kn). Output:
``outcomes``, one row per fact and set; facts the model does not know are left out.
"""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc.experiments.reliability._answer_scaling import answer_probability
from caploc.experiments.reliability._known_facts import known_facts, sample_of, with_sets
from caploc.experiments.reliability.settings import ValidateKn
from caploc.files import tables
from caploc.files.tables import COUNT, NUMBER, Schema, texts
from caploc.forward.processor import use_processor
from caploc.forward.samples import model_of
from caploc.jobs.job import Job
from caploc.jobs.progress import tracked
from caploc.measures.random_sets import Control, draw
from caploc.models.language_model import LanguageModel

__all__ = ["OUTCOMES", "run"]

_LOG = logging.getLogger(__name__)
OUTCOMES: Schema = {
    **texts("fact_id", "rule", "control"),
    **dict.fromkeys(("draw", "n_units"), COUNT),
    **dict.fromkeys(("probability", "suppressed", "enhanced"), NUMBER),
}
"""`control` is empty for the located set; `draw` counts random sets from 0, the last is spare."""
_CONTROLS: tuple[Control, ...] = ("uniform", "layer")


def run(job: Job) -> None:
    """Load, act on every fact, write."""
    use_processor(job.threads)
    told = job.told(ValidateKn)
    lm = model_of(job.input("manifest"), job.spec)
    known = known_facts(job.input("prompts"))
    found = list(with_sets(known, job.inputs["located"]))
    empty = sum(not grid.any() for _, _, grid in found)
    parts = []
    for row, rule, grid in tracked(found, len(found), "knowledge neurons: facts"):
        if grid.any():
            part = _outcomes(lm, row, grid.reshape(lm.n_layers, lm.n_neurons), told)
            parts.append(part.with_columns(fact_id=pl.lit(row["fact_id"]), rule=pl.lit(rule)))
    tables.write_part(
        tables.gathered(parts, OUTCOMES), job.outputs["outcomes"], job.origin(),
        n_known=len(known), empty=empty,
    )  # fmt: skip
    _LOG.info("%d facts acted on, %d locate nothing", len(found) - empty, empty)


def _outcomes(
    lm: LanguageModel, row: Mapping[str, Any], located: NDArray[np.bool_], told: ValidateKn
) -> pl.DataFrame:
    """A row for the located set of a fact, then for each random one."""
    sample = sample_of(row)
    prompt, answer = lm.encode(sample.prompt, sample.answer)
    named = [("", 0), *((control, r) for control in _CONTROLS for r in range(told.draws + 1))]
    grids = [located]
    for control in _CONTROLS:
        for r in range(told.draws + 1):
            seed = [told.seed, r, *f"{control} {row['fact_id']}".encode()]
            grids.append(draw(located, control, int(np.random.default_rng(seed).integers(2**31))))
    sets = np.stack(grids)
    return pl.DataFrame(named, ["control", "draw"], orient="row").with_columns(
        n_units=sets.sum(axis=(1, 2)),
        probability=answer_probability(lm, prompt, answer, np.zeros_like(sets[:1]), 1.0)[0],
        suppressed=answer_probability(lm, prompt, answer, sets, 0.0),
        enhanced=answer_probability(lm, prompt, answer, sets, 2.0),
    )
