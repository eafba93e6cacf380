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
from caploc.estimate.work import Stage
from caploc.experiments.decoupling import jobs as pairs_planned

__all__ = ["cost"]


def cost(run: Run) -> list[Stage]:
    """Stages of decoupling, where the run has it."""
    if not run.has("decoupling"):
        return []
    settings, families = run.settings("decoupling"), run.settings("decoupling")["families"]
    lengths, prompts = [TYPICAL.get(family, run.fact) for family in families], 4 * settings["pairs"]
    return [
        numbers("prepare_pairs", len(families)),
        Stage(
            "locate_pairs",
            sum(len(pairs_planned.pair_shards(run.plan, run.model, f)) for f in families),
            tuple(attributing(run, one, prompts, settings["kn"]) for one in lengths),
            **memory(run, attribution_memory(run, lengths, settings["kn"])),
            disk=len(families) * prompts / 2 * run.shape.neurons * SCORE_BYTES,
        ),
        numbers("measure_decoupling", len(families)),
    ]
