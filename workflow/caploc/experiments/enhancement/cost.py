"""Passes of enhancement: how often neurons are trained, and what is kept meanwhile."""

from caploc.estimate.passes import Run
from caploc.estimate.work import Stage, Work
from caploc.experiments.enhancement import jobs as planned

__all__ = ["cost"]

_DRAWN = ("layer", "uniform")
_CROSSED = ("located", "layer")
_LARGE = ("rest", "full")
_LOCATED = 0.005
"""Share of the neurons that are located, at most a few in a thousand."""
_BYTES_A_VALUE = 20
"""Values, gradients, two moments and the originals (`enhancement.json`: 20.0)."""
_BATCH = 64


def cost(run: Run) -> list[Stage]:
    """`enhance_task`, where the run has the experiment."""
    if not run.has("enhancement"):
        return []
    settings, tasks = run.settings("enhancement"), planned.tasks(run.plan)
    lengths, batch = [run.length(task) for task in tasks], settings["batch"]
    each = [_of_task(run, task) for task in tasks]
    share = 1.0 if set(settings["arms"]) & set(_LARGE) else _LOCATED
    logits = 3 * 4 * batch * max(x.answer for x in lengths) * run.shape.vocabulary
    learning = run.held(batch * max(x.total for x in lengths)) + logits
    slices = _LOCATED * run.shape.ffn_values * 4 * len(planned.masks(run.plan)) * len(tasks)
    return [run.stage(
        "enhance_task", len(tasks) * len(run.plan.settings["methods"]),
        sum((work for work, _, _ in each), Work()),
        share * run.shape.ffn_values * _BYTES_A_VALUE + max(learning, run.cache(lengths, _BATCH)),
        disk=slices + 4.0 * sum(answers for _, answers, _ in each),
        scratch=max(kept for _, _, kept in each),
    )]  # fmt: skip


def _of_task(run: Run, task: str) -> tuple[Work, float, float]:
    """Work of one task, its test answers, and bytes that its trainings keep.

    Of several rates, every arm trains with each to choose, and is read on the validation samples;
    then every run trains with the rate that is best for all, and again with its own where that is
    another (taken as half the time).
    """
    settings, n_masks = run.settings("enhancement"), len(planned.masks(run.plan))
    lengths, epochs = run.length(task), len(settings["epochs"])
    n_rates, targets = len(settings["rates"]), planned.targets(run.plan, task)
    n = run.samples(task, "train", settings["train_samples"])
    steps = max(n // settings["batch"], 1) * settings["epochs"][-1]
    work, kept, tests, validations = Work(), 0.0, 1.0 * len(targets), 0.0
    for arm in sorted(set(settings["arms"]) - {"scaled"}):
        masks = 1 if arm == "full" else n_masks
        runs = settings["draws"] if arm in _DRAWN else settings["seeds"]
        tested = masks * runs * (1.5 if n_rates > 1 else 1.0)
        # The first order of an arm without draws is trained already when its rate is chosen.
        trained = tested if arm in _DRAWN or n_rates == 1 else masks * (runs - 1) * 1.5
        choosing = masks * n_rates if n_rates > 1 else 0
        # Every further kind of sets that is crossed trains once more.
        crossed = runs if arm in _CROSSED and len(targets) > 1 else 0
        trained += choosing + (len(settings["sets"]) - 1) * crossed
        share = 1.0 if arm in _LARGE else _LOCATED
        work += run.train(lengths, steps * trained, settings["batch"], share)
        # Values and two moments, and the values of every epoch that is tested.
        kept += trained * share * run.shape.ffn_values * 4 * (3 + epochs)
        tests += tested * epochs + (len(targets) - 1) * len(settings["sets"]) * crossed
        validations += choosing
    n = run.samples(task, "test", settings["test_samples"])
    at_once = _BATCH * lengths.total
    read = run.read(n * lengths.total, n * lengths.answer, at_once)
    work += (read + run.generate(lengths, n, _BATCH)) * tests
    if n_rates > 1:
        tokens = validations * run.samples(task, "validation") * lengths.total
        work += run.read(tokens, tokens / 2, at_once)
    return work, tests * n, kept
