"""Passes of erasure: sets of neurons that are silenced, times samples that are read."""

from caploc.estimate.passes import (
    activations,
    cache_memory,
    generating,
    memory,
    reading,
)  # fmt: skip
from caploc.estimate.run import Run
from caploc.estimate.work import Stage

__all__ = ["cost"]


def cost(run: Run) -> list[Stage]:
    """Stages of erasure and of its crossing, as far as the run has them."""
    found = []
    if run.has("erasure") or run.has("cross_erasure"):
        found.append(_weigh(run))
    if run.has("erasure"):
        found.append(_erase(run))
    if run.has("cross_erasure"):
        found.append(_cross_erase(run))
    return found


def _weigh(run: Run) -> Stage:
    """Three baselines: one reads forward, two read forward and back."""
    settings = run.settings("erasure")
    n = settings["weighing_samples"]
    work = [
        reading(run, 7 * run.samples(task, "locate", n) * run.length(task).total,
                run.samples(task, "locate", n) * run.length(task).answer * 5, 2048)
        for task in run.tasks
    ]  # fmt: skip
    stored = (3 * len(run.tasks) + 1) * run.shape.neurons * 8
    tokens = max(run.samples(task, "locate", n) * run.length(task).total for task in run.tasks)
    working = min(tokens, 2048) * activations(run) * run.shape.layers
    return Stage("weigh_neurons", 1, tuple(work), **memory(run, working), disk=stored)


def _silenced(run: Run) -> tuple[int, int]:
    """Sets of neurons that one job of `erase_neurons` silences, and those that answer."""
    settings, masks = run.settings("erasure"), len(run.plan.settings["masks"])
    few = settings["exploratory_draws"]
    modes = [
        m for m in settings["modes"] if m != "all" and (m != "mean" or run.plan.settings["neutral"])
    ]
    found = 1 + masks * (1 + 2 * few) + settings["draws"] + (masks - 1) * few
    found += (len(modes) + 2) * (1 + few) + len(settings["locators"])
    sized = "activation-size" in settings["locators"]
    found += len(settings["dose"]) * (1 + settings["dose_draws"] + sized)
    told = 1 + masks * (1 + min(settings["answered_draws"], few))
    return found, told


def _erase(run: Run) -> Stage:
    settings = run.settings("erasure")
    sets, told = _silenced(run)
    work, rows = [], 0
    for task in run.tasks:
        lengths, n = run.length(task), run.samples(task, "test", settings["samples"])
        for shots in settings["shots"]:
            tokens = (shots + 1) * lengths.total
            work.append(reading(run, sets * n * tokens, sets * n * lengths.answer,
                                settings["batch_tokens"]))  # fmt: skip
            rows += sets * n
            asked = run.samples(task, "test", settings["answered"]) * told
            longer = type(lengths)(lengths.prompt + shots * lengths.total, lengths.answer)
            work += generating(run, longer, asked, settings["answered_rows"])
        if run.plan.settings["neutral"] is not None:
            read = told * settings["samples"] * run.length(run.plan.settings["neutral"]).total
            work.append(reading(run, read, read, settings["batch_tokens"]))
    every = [run.length(task) for task in run.tasks]
    together = min(settings["answered_rows"], told * settings["answered"])
    working = max(
        cache_memory(run, every, together),
        settings["batch_tokens"] * activations(run),
    )
    grids = sets * run.shape.neurons  # one byte a neuron and set
    needed = memory(run, working)
    needed["host"] += grids
    if run.cuda:
        needed["accelerator"] += grids
    return Stage("erase_neurons", len(run.tasks), tuple(work), **needed, disk=rows * 3.0)


def _cross_erase(run: Run) -> Stage:
    settings = run.settings("cross_erasure")
    # Own and equally many; without the neurons that all have in common only where there are any.
    sets = 1 + 2 * len(run.tasks) * (1 + settings["draws"])
    work, rows = [], 0
    for task in run.tasks:
        n = run.samples(task, "test", settings["samples"])
        lengths = run.length(task)
        work.append(reading(run, sets * n * lengths.total, sets * n * lengths.answer,
                            settings["batch_tokens"]))  # fmt: skip
        rows += sets * n
    needed = memory(run, settings["batch_tokens"] * activations(run))
    needed["host"] += sets * run.shape.neurons
    return Stage("cross_erase", len(run.tasks), tuple(work), **needed, disk=rows * 3.0)
