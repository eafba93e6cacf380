"""The effect of every planted neuron on its capability, and of each set of decoys.

Settings: `MeasureEffects`. Inputs: ``manifest``, ``sets``, ``samples`` (test). Output:
``effects``: kind, layer, neuron, effect, error (nat per sample); rows without a neuron are whole
sets: what silencing them takes from the log-probability, others left as they are.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc.experiments.known_answer._effects import effects_of, flips
from caploc.experiments.known_answer._layout import DECOYS, Layout, read_layout
from caploc.experiments.known_answer._planted import PLACE, answered
from caploc.experiments.known_answer.settings import MeasureEffects
from caploc.files import tables
from caploc.files.tables import COUNT, LAYER, NUMBER, TEXT, Schema
from caploc.forward.processor import use_processor
from caploc.forward.samples import encoded, model_of, samples_of
from caploc.jobs.job import Job

__all__ = ["run"]

_EFFECTS: Schema = {
    "kind": TEXT, "layer": LAYER, "neuron": COUNT, "effect": NUMBER, "error": NUMBER,
}  # fmt: skip


def run(job: Job) -> None:
    """Silence subsets, compare, write."""
    use_processor(job.threads)
    told = job.told(MeasureEffects)
    lm = model_of(job.input("manifest"), PLACE)
    layout = read_layout(job.input("sets"))
    texts = encoded(lm, samples_of(lm, job.input("samples"), told.samples))
    planted = layout.carrying(told.task)
    grids, silenced = flips(planted, told.subsets, told.seed)
    sets = _sets(layout, told.task)
    of_samples, _ = answered(lm, texts, [*grids, *sets.values()], told.batch_tokens, "effects")
    logprob = of_samples.mean(axis=1)
    found = effects_of(logprob[: len(grids)], silenced)
    layers, neurons = np.nonzero(planted)
    kinds = np.where(layout.of("copy")[planted], "copy", "planted").tolist()
    single = pl.DataFrame(
        {"kind": kinds, "layer": layers, "neuron": neurons, "effect": found.mean,
         "error": found.error}
    )  # fmt: skip
    base, *others = logprob[len(grids) :].tolist()
    whole = pl.DataFrame({"kind": list(sets)[1:], "effect": [base - value for value in others]})
    table = tables.gathered([single, whole], _EFFECTS)
    tables.write_part(table, job.outputs["effects"], job.origin())


def _sets(layout: Layout, capability: str) -> dict[str, NDArray[np.bool_]]:
    """The unchanged model first, then whole sets."""
    sets = {"": np.zeros(layout.owner.shape, dtype=np.bool_)}
    sets["planted"] = layout.carrying(capability)
    for kind in DECOYS:
        grid = layout.of(kind, capability=capability if kind == "negative" else None)
        if grid.any():
            sets[kind] = grid
    return sets
