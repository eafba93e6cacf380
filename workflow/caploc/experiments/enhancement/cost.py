"""Passes of enhancement: how often neurons are trained, and what is kept meanwhile."""

from dataclasses import replace
from math import ceil

from caploc.estimate.passes import activations, cache_memory, generating, memory, reading, training
from caploc.estimate.run import Run
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
    return [_enhance(run)] if run.has("enhancement") else []


def _trainings(run: Run) -> list[tuple[str, int, int]]:
    """(arm, trainings of it, trainings of it that are tested) of one task.

    Of several rates, every arm trains with each to choose; then every run trains with the rate that
    is best for all, and again with its own where that is another (taken as half the time).
    """
    settings, n_masks = run.settings("enhancement"), len(planned.masks(run.plan))
    n_rates, found = len(settings["rates"]), []
    for arm in settings["arms"]:
        if arm == "scaled":
            continue
        masks = 1 if arm == "full" else n_masks
        runs = settings["draws"] if arm in _DRAWN else settings["seeds"]
        choosing = masks * n_rates if n_rates > 1 else 0
        tested = masks * runs * (1.5 if n_rates > 1 else 1)
        # The first order of an arm without draws is trained already when its rate is chosen.
        again = tested if arm in _DRAWN or n_rates == 1 else masks * (runs - 1) * 1.5
        if arm in _CROSSED:
            # Every further kind of sets that is crossed trains once more, at the rate for all.
            again += (len(settings["sets"]) - 1) * runs if settings["cross"] else 0
        found.append((arm, ceil(choosing + again), ceil(tested)))
    return found


def _enhance(run: Run) -> Stage:
    settings, tasks = run.settings("enhancement"), planned.tasks(run.plan)
    epochs, work, kept, answers = settings["epochs"], list[Work](), 0.0, 0.0
    for task in tasks:
        lengths = run.length(task)
        n = run.samples(task, "train", settings["train_samples"])
        steps = max(n // settings["batch"], 1) * epochs[-1]
        state = 0.0
        for arm, trained, tested in _trainings(run):
            share = 1.0 if arm in _LARGE else _LOCATED
            work += [training(run, lengths, steps * trained, settings["batch"], share)]
            # Values and two moments, and the values of every epoch that is tested.
            state += trained * share * run.shape.ffn_values * 4 * (3 + len(epochs))
            work += _tests(run, task, tested * len(epochs))
            answers += tested * len(epochs) * run.samples(task, "test", settings["test_samples"])
        if len(settings["rates"]) > 1:
            n_validation = sum(trained for _, trained, _ in _trainings(run))
            read = n_validation * run.samples(task, "validation") * lengths.total
            work.append(reading(run, read, read / 2, _BATCH * lengths.total))
        targets, n_masks = planned.targets(run.plan, task), len(planned.masks(run.plan))
        work += [piece for target in targets for piece in _tests(run, target, 1)]
        for target in targets[1:]:
            crossed = sum(t for a, _, t in _trainings(run) if a in _CROSSED)
            work += _tests(run, target, len(settings["sets"]) * crossed / n_masks)
        kept = max(kept, state)
    every = [run.length(task) for task in tasks]
    share = 1.0 if set(settings["arms"]) & set(_LARGE) else _LOCATED
    rows = settings["batch"] * max(x.total for x in every)
    working = share * run.shape.ffn_values * _BYTES_A_VALUE
    logits = 3 * 4 * settings["batch"] * max(x.answer for x in every) * run.shape.vocabulary
    learning = rows * activations(run) * run.shape.layers + logits
    working += max(learning, cache_memory(run, every, _BATCH))
    slices = _LOCATED * run.shape.ffn_values * 4 * len(planned.masks(run.plan)) * len(tasks)
    return Stage(
        "enhance_task", len(tasks) * len(run.plan.settings["methods"]), tuple(work),
        **memory(run, working), disk=slices + answers * 4.0, scratch=kept,
    )  # fmt: skip


def _tests(run: Run, task: str, times: float) -> list[Work]:
    """The test samples read and answered so many times."""
    settings, lengths = run.settings("enhancement"), run.length(task)
    n = run.samples(task, "test", settings["test_samples"])
    read = reading(run, times * n * lengths.total, times * n * lengths.answer,
                   _BATCH * lengths.total)  # fmt: skip
    pieces = generating(run, lengths, n, _BATCH)
    repeated = [replace(w, operations=w.operations * times, calls=w.calls * times) for w in pieces]
    return [read, *repeated]
