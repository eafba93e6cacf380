"""Passes of erasure: sets of neurons that are silenced, times samples that are read."""

from caploc.estimate.lengths import Lengths
from caploc.estimate.passes import Run
from caploc.estimate.work import Stage, Work

__all__ = ["cost"]

_WEIGHING_TOKENS = 2048


def cost(run: Run) -> list[Stage]:
    """Stages of erasure and of its crossing, as far as the run has them."""
    found = []
    if run.has("erasure") or run.has("cross_erasure"):
        found.append(_weigh(run))
    if run.has("erasure"):
        found.append(_erase(run))
    if run.has("cross_erasure"):
        settings = run.settings("cross_erasure")
        # Of kinds without the common neurons there are only some: not counted.
        kinds = len({"own", "equal"} & set(settings["sets"]))
        sets = 1 + kinds * len(run.tasks) * (1 + settings["draws"])
        work = sum((_read(run, task, sets, settings) for task in run.tasks), Work())
        found.append(_silencing(run, "cross_erase", sets, settings, work))
    return found


def _weigh(run: Run) -> Stage:
    """Three baselines: one reads forward, two read forward and back."""
    work, n = Work(), run.settings("erasure")["weighing_samples"]
    for task in run.tasks:
        samples, lengths = run.samples(task, "locate", n), run.length(task)
        work += run.read(
            7 * samples * lengths.total, 5 * samples * lengths.answer, _WEIGHING_TOKENS
        )
    tokens = max(run.samples(t, "locate", n) * run.length(t).total for t in run.tasks)
    stored = (3 * len(run.tasks) + 1) * run.shape.neurons * 8
    return run.stage("weigh_neurons", 1, work, run.held(min(tokens, _WEIGHING_TOKENS)), disk=stored)


def _erase(run: Run) -> Stage:
    """Every set on every test sample; some of them answer, too, and read neutral text."""
    settings, masks = run.settings("erasure"), len(run.plan.settings["masks"])
    few, neutral = settings["exploratory_draws"], run.plan.settings["neutral"]
    modes = [m for m in settings["modes"] if m != "all" and (m != "mean" or neutral)]
    sets = 1 + masks * (1 + 2 * few) + settings["draws"] + (masks - 1) * few
    sets += (len(modes) + 2) * (1 + few) + len(settings["locators"])
    sized = "activation-size" in settings["locators"]
    sets += len(settings["dose"]) * (1 + settings["dose_draws"] + sized)
    told = 1 + masks * (1 + min(settings["answered_draws"], few))
    work = Work()
    for task in run.tasks:
        one, asked = run.length(task), told * run.samples(task, "test", settings["answered"])
        for shots in settings["shots"]:
            work += _read(run, task, sets, settings, shots)
            longer = Lengths(one.prompt + shots * one.total, one.answer)
            work += run.generate(longer, asked, settings["answered_rows"])
        if neutral is not None:
            read = told * settings["samples"] * run.length(neutral).total
            work += run.read(read, read, settings["batch_tokens"])
    together = min(settings["answered_rows"], told * settings["answered"])
    cache = run.cache([run.length(task) for task in run.tasks], together)
    return _silencing(run, "erase_neurons", sets, settings, work, len(settings["shots"]), cache)


def _read(run: Run, task: str, sets: int, settings: dict, shots: int = 0) -> Work:
    """Test samples of a task, behind examples, with each set silenced."""
    lengths, rows = run.length(task), sets * run.samples(task, "test", settings["samples"])
    tokens = rows * (shots + 1) * lengths.total
    return run.read(tokens, rows * lengths.answer, settings["batch_tokens"])


def _silencing(
    run: Run, name: str, sets: int, settings: dict, work: Work, shots: int = 1, cache: float = 0.0
) -> Stage:
    """A stage that keeps all sets as grids of one byte a neuron, and a row for each answer."""
    grids = sets * run.shape.neurons
    beside = max(cache, run.held(settings["batch_tokens"], 1)) + grids
    rows = sum(run.samples(task, "test", settings["samples"]) for task in run.tasks) * sets * shots
    return run.stage(name, len(run.tasks), work, beside, disk=3.0 * rows)
