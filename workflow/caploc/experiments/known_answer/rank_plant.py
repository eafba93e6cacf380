"""How well each locator finds the planted neurons of one capability.

Settings: `RankPlant`. Inputs: ``check``, ``sets``, ``scores``, ``effects``. Output: ``part`` of the
table `known_answer`. A plant that fails the surgery check has rows that say so, and no ranking.
"""

import numpy as np
import polars as pl

from caploc.experiments.known_answer._effects import Effects
from caploc.experiments.known_answer._layout import read_layout
from caploc.experiments.known_answer.settings import RankPlant
from caploc.experiments.known_answer.table import KNOWN_ANSWER, of_capability, ranked, surgery
from caploc.files import store, tables
from caploc.jobs.job import Job
from caploc.measures.summaries import exact

__all__ = ["run"]


def run(job: Job) -> None:
    """Compare, write."""
    told = job.told(RankPlant)
    check = store.read_json(job.input("check"))
    found = [*surgery(check, told.task)]
    if check["usable"][told.task]:
        layout, effects = read_layout(job.input("sets")), tables.read(job.input("effects"))
        whole = effects.filter(pl.col("neuron").is_null())
        found.append(whole.select(set="kind", metric=pl.lit("effect"), value="effect"))
        single = effects.filter(pl.col("neuron").is_not_null())
        used = Effects(single["effect"].to_numpy(), single["error"].to_numpy())
        effective = np.zeros(layout.owner.shape, dtype=np.bool_)
        effective[single["layer"], single["neuron"]] = used.effective(told.least_effect)
        found.append(exact(float(effective.sum()), len(single), metric="effective"))
        found += ranked(tables.read(job.input("scores")), layout, effective, told)
    part = of_capability(tables.gathered(found, KNOWN_ANSWER), told)
    tables.write_part(part, job.outputs["part"], job.origin())
