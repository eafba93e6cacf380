"""Passes of decoupling: knowledge neurons of paired samples."""

from caploc.estimate.lengths import TYPICAL
from caploc.estimate.passes import (
    SCORE_BYTES,
    attributing,
    attribution_memory,
    memory,
    numbers,
)  # fmt: skip
from caploc.estimate.run import Run
from caploc.estimate.work import Stage, Work
from caploc.experiments.decoupling import jobs as pairs_planned

__all__ = ["cost"]


def cost(run: Run) -> list[Stage]:
    """Stages of decoupling, where the run has it."""
    return _decoupling(run) if run.has("decoupling") else []


def _decoupling(run: Run) -> list[Stage]:
    settings, shape = run.settings("decoupling"), run.shape
    work, jobs, disk, longest = list[Work](), 0, 0.0, list()
    for family in settings["families"]:
        lengths = TYPICAL.get(family, run.fact)
        prompts = 4 * settings["pairs"]
        work.append(attributing(run, lengths, prompts, settings["kn"]))
        jobs += len(pairs_planned.pair_shards(run.plan, run.model, family))
        disk += prompts / 2 * shape.neurons * SCORE_BYTES
        longest.append(lengths)
    working = attribution_memory(run, longest, settings["kn"])
    grids = settings["pairs"] * len(settings["shares"]) * (settings["draws"] + settings["orders"])
    n = len(settings["families"])
    return [
        numbers("prepare_pairs", n),
        Stage("locate_pairs", jobs, tuple(work), **memory(run, working), disk=disk),
        numbers("measure_decoupling", n, n * grids * shape.neurons / 5),
    ]
