"""Silence the neurons of every data set, and see what is left of one of them.

Settings: `CrossErase`. Inputs: ``manifest``, ``weights``, ``masks`` (in the order of tasks),
``test`` and ``train`` of the task. Output: ``likelihood``, one row per (set, draw, sample); its
metadata holds the sizes of the sets, the number of neurons common to all, and the accuracy of
always giving the commonest answer of the split train.
"""

import logging
from collections import Counter

import numpy as np

from caploc.experiments.erasure._arms import Arm, with_controls
from caploc.experiments.erasure._scored import erasures_of, likelihood
from caploc.experiments.erasure.settings import CrossErase
from caploc.experiments.erasure.weigh_neurons import read_weights
from caploc.files import tables
from caploc.files.masks import read_located
from caploc.forward.processor import use_processor
from caploc.forward.samples import encoded, model_of, samples_of
from caploc.jobs.job import Job
from caploc.measures.crossed_sets import common, crossed_sets
from caploc.records import Sample

__all__ = ["run"]

_LOG = logging.getLogger(__name__)


def run(job: Job) -> None:
    """Score the answers of one data set under the sets of all.

    Args:
        job: see the module.

    Raises:
        DataError: a damaged file, or masks that do not belong together.
    """
    use_processor(job.threads)
    told = job.told(CrossErase)
    lm = model_of(job.input("manifest"), job.spec)
    located, reasons = read_located(told.tasks, job.inputs["masks"])
    some = encoded(lm, samples_of(lm, job.input("test"), told.samples))
    found = crossed_sets(located) if located else {}
    sets = {kind: by_source for kind, by_source in found.items() if kind in told.sets}
    arms = [Arm("", "base", "all", np.zeros((lm.n_layers, lm.n_neurons), dtype=np.bool_))]
    # Without the target in it: all targets see the same random sets.
    seed = f"{told.seed}/{told.model}"
    for kind, by_source in sets.items():
        for source, neurons in by_source.items():
            sizes = read_weights(job.input("weights"), source)["activation-size"]
            arm = Arm(told.mask, kind, "all", neurons, source=source)
            try:
                arms += [*with_controls(arm, sizes, {"matched": told.draws}, seed)]
            except ValueError as reason:  # too few neurons are left outside a large set
                reasons[source] = f"{kind} set too large for random sets: {reason}"
    scored = likelihood(lm, some, arms, erasures_of(arms, None), told)
    about = {
        "dropped": some.dropped,
        "not_computed": reasons,
        "sizes": {k: {s: int(m.sum()) for s, m in found.items()} for k, found in sets.items()},
        "n_common": int(common(located).sum()) if located else 0,
        "chance": _chance(samples_of(lm, job.input("train")), some.samples),
    }
    tables.write_part(scored, job.outputs["likelihood"], job.origin(), **about)
    _LOG.info("%s: answered without the neurons of %d data sets", told.task, len(located))


def _chance(train: list[Sample], test: list[Sample]) -> float:
    """Share of the test samples whose answer is the commonest one of the split train."""
    if not train or not test:
        return 0.0
    ((answer, _),) = Counter(sample.answer for sample in train).most_common(1)
    return sum(sample.answer == answer for sample in test) / len(test)
