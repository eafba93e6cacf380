"""Passes of decoupling: knowledge neurons of paired samples."""

from caploc.estimate.lengths import FACT, TYPICAL
from caploc.estimate.passes import SCORE_BYTES, Run
from caploc.estimate.work import Stage, Work, numbers
from caploc.experiments.decoupling import jobs as pairs_planned

__all__ = ["cost"]


def cost(run: Run) -> list[Stage]:
    """Stages of decoupling, where the run has it."""
    if not run.has("decoupling"):
        return []
    settings, families = run.settings("decoupling"), run.settings("decoupling")["families"]
    lengths, prompts = [TYPICAL.get(family, FACT) for family in families], 4 * settings["pairs"]
    jobs = sum(len(pairs_planned.pair_shards(run.plan, run.model, f)) for f in families)
    work = sum((run.attribute(one, prompts, settings["kn"]) for one in lengths), Work())
    stored = len(families) * prompts / 2 * run.shape.neurons * SCORE_BYTES
    return [
        numbers("prepare_pairs", len(families)),
        run.stage("locate_pairs", jobs, work, run.scoring(lengths, settings["kn"]), disk=stored),
        numbers("measure_decoupling", len(families)),
    ]
